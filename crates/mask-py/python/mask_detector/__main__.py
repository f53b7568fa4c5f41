"""``python -m mask_detector photo.jpg``: the faces in images, one line of JSON an image."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from . import Detections, Detector, DetectorError, __version__, encode_jpeg

#: Images that are handed over at once: enough for all threads, and not so many that one waits long for a line.
BATCH = 64


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mask_detector",
        description="Finds the faces in images and says for each whether it wears a mask.",
    )
    parser.add_argument("images", nargs="+", metavar="PHOTO", help="image files")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="write drawn images here, as JPEG")
    parser.add_argument("--format", choices=["table", "ndjson"], help="[default: table on a terminal]")
    parser.add_argument("--device", default="auto", help="auto, cpu, gpu or gpu:N [default: auto]")
    parser.add_argument("--threads", type=int, metavar="N", help="[default: all cores]")
    parser.add_argument("--min-confidence", type=float, metavar="P", help="least confidence of a face")
    parser.add_argument("--input-size", metavar="SIZE", help="such as long:640 or 300x300")
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def batches(images: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(images), BATCH):
        yield images[start : start + BATCH]


def show(result: Detections, form: str) -> None:
    if form == "ndjson":
        print(result.to_json(), flush=True)
        return
    count = {0: "no faces", 1: "1 face"}.get(len(result), f"{len(result)} faces")
    print(f"{result.image} ({result.width} x {result.height}): {count}")
    for face in result:
        x_min, y_min, x_max, y_max = face.bbox
        print(
            f"  {face.label}  {100 * face.label_probability:5.1f}%   face {100 * face.confidence:5.1f}%"
            f"   {x_max - x_min:.0f} x {y_max - y_min:.0f} at {x_min:.0f}, {y_min:.0f}"
        )


def write(result: Detections, folder: Path) -> None:
    assert result.image is not None
    target = folder / (Path(result.image).name + ".jpg")
    part = target.with_name(f".{target.name}.{os.getpid()}")
    part.write_bytes(encode_jpeg(result.draw()))
    part.replace(target)


def main() -> int:
    """Runs the command and returns its exit status: 1 if some images failed, 2 if nothing could begin."""
    options = arguments().parse_args()
    form = options.format or ("table" if sys.stdout.isatty() else "ndjson")
    try:
        detector = Detector(
            device=options.device,
            threads=options.threads,
            min_confidence=options.min_confidence,
            input_size=options.input_size,
        )
        if options.output is not None:
            options.output.mkdir(parents=True, exist_ok=True)
    except (DetectorError, ValueError, OSError) as error:
        print(f"mask_detector: {error}", file=sys.stderr)
        return 2
    failed = False
    for paths in batches(options.images):
        for path, result in zip(paths, detector.detect_batch(paths, errors="return"), strict=True):
            if isinstance(result, Detections):
                show(result, form)
                if options.output is not None:
                    write(result, options.output)
                continue
            failed = True
            if form == "ndjson":
                print(json.dumps({"image": path, "error": str(result)}), flush=True)
            else:
                print(f"{path}: {result}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:
        # Whoever read has gone.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        sys.exit(130)
