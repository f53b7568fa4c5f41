"""Makes harder variants of annotated photographs, to see what the detector bears.

    python3 bench/variants.py ANNOTATIONS IMAGES OUTPUT

Writes OUTPUT/VARIANT/{images,annotations} for dark, overexposed, blurred, small, compressed and rotated
images. Needs pillow. A rotated face keeps the size of its box, around its rotated middle.
"""

import math
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from PIL import Image, ImageFilter, ImageOps

DEGREES = 20
EDGES = ["xmin", "ymin", "xmax", "ymax"]


def half(image):
    return image.resize((image.width // 2, image.height // 2), Image.BILINEAR)


VARIANTS = {
    "dark": lambda image: image.point(lambda value: int(0.25 * value)),
    "overexposed": lambda image: image.point(lambda value: min(255, int(1.9 * value))),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(2)),
    "small": half,
    "compressed": lambda image: image,
    "rotated": lambda image: image.rotate(DEGREES, Image.BILINEAR),
}


def moved(variant, box, width, height):
    if variant == "small":
        return [edge / 2 for edge in box]
    if variant != "rotated":
        return box
    x, y = (box[0] + box[2]) / 2 - width / 2, (box[1] + box[3]) / 2 - height / 2
    sine, cosine = math.sin(math.radians(DEGREES)), math.cos(math.radians(DEGREES))
    x, y = x * cosine + y * sine + width / 2, y * cosine - x * sine + height / 2
    across, along = (box[2] - box[0]) / 2, (box[3] - box[1]) / 2
    return [x - across, y - along, x + across, y + along]


def main():
    annotations, images, output = map(Path, sys.argv[1:4])
    for variant, change in VARIANTS.items():
        folder = output / variant
        for part in ["images", "annotations"]:
            (folder / part).mkdir(parents=True, exist_ok=True)
        for file in sorted(annotations.glob("*.xml")):
            (path,) = images.glob(file.stem + ".*")
            image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
            quality = 12 if variant == "compressed" else 92
            change(image).save(folder / "images" / f"{file.stem}.jpg", quality=quality)
            tree = ElementTree.parse(file)
            root = tree.getroot()
            for thing in root.findall("object"):
                fields = [thing.find("bndbox/" + edge) for edge in EDGES]
                box = moved(variant, [float(field.text) for field in fields], *image.size)
                # A face that was turned out of the image does not count.
                middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
                if not all(0 <= at < most for at, most in zip(middle, image.size)):
                    root.remove(thing)
                for field, edge in zip(fields, box):
                    field.text = f"{edge:.1f}"
            tree.write(folder / "annotations" / file.name)


if __name__ == "__main__":
    main()
