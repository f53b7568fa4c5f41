"""Recall and labels of predictions by kinds of faces.

    mask-cli detect IMAGES --format ndjson > predictions.ndjson
    python3 bench/slices.py ANNOTATIONS IMAGES predictions.ndjson

Needs numpy and pillow. A face is found by a detection of an IoU of 0.5 and more. Kinds: longer side in
the image; source, which is the part of the file's name before its first hyphen; mean brightness of the
face; for masked faces the colour of the lower middle of the box.
"""

import colorsys
import json
import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    area = lambda box: (box[2] - box[0]) * (box[3] - box[1])
    return common / (area(a) + area(b) - common)


def between(value, edges, unit):
    for low, high in zip(edges, edges[1:]):
        if value < high:
            return f"{low} to {high} {unit}" if np.isfinite(high) else f"from {low} {unit}"


def color(pixels):
    red, green, blue = np.median(pixels.reshape(-1, 3), axis=0) / 255
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    if value < 0.25:
        return "black"
    if saturation < 0.15:
        return "white" if value > 0.7 else "grey"
    return "blue or green" if 0.25 < hue < 0.75 else "red, yellow or brown"


def main():
    annotations, images, predictions = sys.argv[1:4]
    found = {}
    for line in Path(predictions).read_text().splitlines():
        record = json.loads(line)
        found[Path(record["image"]).stem] = record.get("faces", [])
    slices = defaultdict(list)
    for file in sorted(Path(annotations).glob("*.xml")):
        (path,) = Path(images).glob(file.stem + ".*")
        pixels = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
        for thing in ElementTree.parse(file).getroot().findall("object"):
            edges = ["xmin", "ymin", "xmax", "ymax"]
            box = [float(thing.find("bndbox/" + edge).text) for edge in edges]
            truth = thing.find("name").text
            best, label = 0.5, None
            for face in found.get(file.stem, []):
                edges = [face["box"][edge] for edge in ("x_min", "y_min", "x_max", "y_max")]
                if overlap(edges, box) >= best:
                    best, label = overlap(edges, box), face["label"]
            x0, y0, x1, y1 = (max(0, int(edge)) for edge in box)
            crop = pixels[y0:y1, x0:x1]
            if not crop.size:
                continue
            result = (truth, label)
            side = max(box[2] - box[0], box[3] - box[1])
            size = between(side, [0, 16, 24, 32, 64, 128, 256, np.inf], "pixels")
            slices["size", size].append(result)
            source = file.stem.split("-")[0] if "-" in file.stem else "ilc-2021"
            slices["source", source].append(result)
            light = between(crop.mean(), [0, 60, 100, 160, 200, np.inf], "of 255")
            slices["brightness", light].append(result)
            if truth == "with_mask":
                height, width = crop.shape[:2]
                mask = crop[int(0.6 * height) : int(0.9 * height), width // 4 : 3 * width // 4 + 1]
                if mask.size:
                    slices["mask colour", color(mask)].append(result)
            slices["class", truth].append(result)
    print("| kind | faces | found | labels right, of those found |\n|---|---|---|---|")
    for (kind, name), results in sorted(slices.items()):
        labels = [(truth, label) for truth, label in results if label is not None]
        right = sum(truth == label for truth, label in labels)
        recall, accuracy = len(labels) / len(results), right / max(1, len(labels))
        print(f"| {kind}: {name} | {len(results)} | {recall:.3f} | {accuracy:.3f} |")


if __name__ == "__main__":
    main()
