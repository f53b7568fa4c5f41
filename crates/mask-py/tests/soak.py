"""Resident memory over ten thousand images in every form: python soak.py PHOTO..."""

import itertools
import sys
from pathlib import Path

import numpy as np
from mask_detector import Detector
from PIL import Image

IMAGES = 10_000


def resident() -> float:
    """In MB, as Linux counts it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def main() -> None:
    paths = sys.argv[1:]
    detector = Detector(input_size="long:320")
    arrays = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    forms = itertools.cycle(
        [paths, [Path(path).read_bytes() for path in paths], arrays, [array[:, ::-1] for array in arrays]]
    )
    done = 0
    while done < IMAGES:
        images = next(forms)
        for result in detector.detect_batch(images):
            result.to_dict(), result.boxes
        result = detector.detect(images[0])
        result.draw(images[0])
        done += len(images) + 1
        if done % 1000 < len(images) + 1:
            print(f"{done} images, {resident():.1f} MB", flush=True)


if __name__ == "__main__":
    main()
