"""Runs the code of an export's README in its runtimes on photographs, and compares with the Python package.

    python3 tests/exports/agreement.py EXPORT PHOTO... [--runtime onnxruntime|OpenCV|OpenVINO] [--check]

Photographs are laid into squares of the network's size first, so that both see the same pixels.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mask_detector import Detector


def code(readme: str, heading: str) -> str:
    """The Python of a section."""
    section = re.split(r"^## ", readme, flags=re.M)
    text = next(part for part in section if part.startswith(heading))
    return "\n".join(re.findall(r"```python\n(.*?)```", text, flags=re.S))


def program(folder: Path, runtime: str) -> dict[str, Any]:
    """What the README's code of a runtime defines. Its files are named as beside it."""
    readme = (folder / "README.md").read_text()
    names: dict[str, Any] = {}
    before = Path.cwd()
    os.chdir(folder)
    try:
        exec(code(readme, runtime) + code(readme, "Each of them"), names)
    finally:
        os.chdir(before)
    return names


def square(path: Path, width: int, height: int) -> np.ndarray:
    image = cv2.imread(str(path))
    scale = min(width / image.shape[1], height / image.shape[0])
    size = round(image.shape[1] * scale), round(image.shape[0] * scale)
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return canvas


def compare(folder: Path, photos: list[Path], runtime: str) -> dict[str, float]:
    names = program(folder, runtime)
    width, height = names["WIDTH"], names["HEIGHT"]
    detector = Detector(input_size=f"{width}x{height}", precision="f32")
    faces = found = labels = 0
    missed, corners, probabilities = 0, [], []
    for photo in photos:
        image = square(photo, width, height)
        ours, theirs = detector.detect(image, color="bgr"), names["detect"](image)
        faces, found = faces + len(ours), found + len(theirs)
        for face in ours:
            if not theirs:
                missed += 1
                continue
            distance = [np.abs(np.subtract(other["box"], face.bbox)).max() for other in theirs]
            if min(distance) > 8:
                missed += 1
                continue
            other = theirs[int(np.argmin(distance))]
            corners.append(min(distance))
            labels += other["label"] == face.label
            probabilities.append(np.abs(other["probabilities"] - list(face.probabilities.values())).max())
    return {
        "photographs": len(photos),
        "faces": faces,
        "found": found,
        "missed": missed,
        "labels": labels / max(len(corners), 1),
        "within_1_pixel": float(np.mean(np.array(corners) <= 1)),
        "largest_corner": float(np.max(corners)),
        "largest_probability": float(np.max(probabilities)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("export", type=Path)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--runtime", default="onnxruntime")
    parser.add_argument("--check", action="store_true", help="fail if a face differs")
    options = parser.parse_args()
    result = compare(options.export.absolute(), options.photos, options.runtime)
    print(json.dumps({"runtime": options.runtime, "export": options.export.name} | result))
    agrees = result["faces"] == result["found"] > 0 == result["missed"] and result["within_1_pixel"] == 1
    if options.check and not (agrees and result["labels"] == 1):
        raise SystemExit("the results differ")


if __name__ == "__main__":
    main()
