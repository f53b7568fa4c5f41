"""``python -m mask_detector.ray INPUT OUTPUT``: a folder or list of images to Parquet files, on a cluster."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from typing import Any

import ray

from .. import DetectorError
from .job import IMAGES_PER_FILE, Summary, detect_images
from .manifest import JobError


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mask_detector.ray",
        description="Searches images on a Ray cluster. Run again, it goes on where it ended.",
    )
    parser.add_argument(
        "input", metavar="INPUT", help="a folder or a list (.txt, .csv, .parquet), local or a URI"
    )
    parser.add_argument("output", metavar="OUTPUT", help="a folder for Parquet files, local or a URI")
    parser.add_argument("--address", help="of the cluster [default: the one of RAY_ADDRESS, or this machine]")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes [default: as the cluster has cores]"
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of each process [default: 1]")
    parser.add_argument("--images-per-file", type=int, default=IMAGES_PER_FILE, metavar="N")
    parser.add_argument("--min-confidence", type=float, metavar="P", help="least confidence of a face")
    parser.add_argument("--input-size", metavar="SIZE", help="such as long:640 or 300x300")
    parser.add_argument("--precision", choices=["f32", "int8"])
    return parser


def main() -> int:
    """Runs the command and returns its exit status: 1 if some images failed, 2 if it could not begin."""
    options = arguments().parse_args()
    named = ("min_confidence", "input_size", "precision")
    detector: dict[str, Any] = {
        name: value for name in named if (value := getattr(options, name)) is not None
    }
    ray.init(address=options.address, logging_level=logging.WARNING, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)

    def progress(summary: Summary) -> None:
        if sys.stderr.isatty():
            done = summary.done_before + summary.searched
            rate = summary.searched / max(summary.seconds, 1e-9)
            print(f"\r{done} of {summary.images} images, {rate:.1f} a second ", end="", file=sys.stderr)

    try:
        summary = detect_images(
            options.input,
            options.output,
            workers=options.workers,
            threads=options.threads,
            images_per_file=options.images_per_file,
            progress=progress,
            **detector,
        )
    except (JobError, DetectorError, OSError) as error:
        print(f"mask_detector.ray: {error}", file=sys.stderr)
        return 2
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(json.dumps(summary.to_dict()))
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
