"""The part of the small faces that is found where half of all detections are right.

    mask-cli detect IMAGES --min-confidence 0.01 --format ndjson > predictions.ndjson
    python3 bench/small_faces.py ANNOTATIONS predictions.ndjson

Needs numpy and pillow. A face is small whose longer side is under 24 pixels once the image's is 640. Detections,
the surest first, take the face of the largest IoU of 0.5 and more that is left; from the last confidence on at
which half of those so far have one, small faces count as found.
"""

import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from slices import overlap

LONG_SIDE, SMALL, PRECISION = 640, 24, 0.5


def edges_of(box, names):
    return [float(box[name]) for name in names]


def main():
    annotations, predictions = sys.argv[1:3]
    faces = {}
    for file in Path(annotations).glob("*.xml"):
        root = ElementTree.parse(file).getroot()
        long_side = max(float(root.find("size/" + side).text) for side in ("width", "height"))
        boxes = [{edge.tag: edge.text for edge in box} for box in root.findall("object/bndbox")]
        boxes = [edges_of(box, ["xmin", "ymin", "xmax", "ymax"]) for box in boxes]
        limit = SMALL * long_side / LONG_SIDE
        faces[file.stem] = [(box, max(box[2] - box[0], box[3] - box[1]) < limit) for box in boxes]
    detections = []
    for line in Path(predictions).read_text().splitlines():
        record = json.loads(line)
        for face in record.get("faces", []):
            box = edges_of(face["box"], ["x_min", "y_min", "x_max", "y_max"])
            detections.append((face["confidence"], Path(record["image"]).stem, box))
    detections.sort(key=lambda detection: -detection[0])
    taken, right, small = set(), [], []
    for _, image, box in detections:
        free = [at for at in range(len(faces.get(image, []))) if (image, at) not in taken]
        best = max(free, key=lambda at: overlap(faces[image][at][0], box), default=None)
        found = best is not None and overlap(faces[image][best][0], box) >= 0.5
        right.append(found)
        small.append(found and faces[image][best][1])
        if found:
            taken.add((image, best))
    precise = np.cumsum(right) / np.arange(1, len(right) + 1) >= PRECISION
    end = np.flatnonzero(precise)[-1] + 1 if precise.any() else 0
    total = sum(is_small for boxes in faces.values() for _, is_small in boxes)
    recall = sum(small[:end]) / total
    print(f"{total} small faces; {recall:.3f} found at a confidence of {detections[end - 1][0]:.3f}")


if __name__ == "__main__":
    main()
