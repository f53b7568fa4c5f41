"""A stage for ``map_batches``: images in, rows of results out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from .._native import Detector
from ..results import row, table


class DetectImages:
    """Loads the networks once a worker and searches batches of a column of images.

    ``images`` names a column of paths or of the bytes of image files, ``names`` one with the images' names, that of
    the images itself where it holds paths. The other arguments are ``Detector``'s; a worker has one thread unless
    told otherwise, as Ray gives it one core.
    """

    def __init__(
        self, images: str = "bytes", names: str = "path", *, threads: int = 1, **detector: Any
    ) -> None:
        self._images, self._names = images, names
        self._detector = Detector(threads=threads, **detector)

    def __call__(self, batch: pa.Table) -> pa.Table:
        names = batch[self._names].to_pylist()
        return search(self._detector, names, batch[self._images].to_pylist())


def search(detector: Detector, names: Sequence[str], images: Sequence[str | bytes | Exception]) -> pa.Table:
    """The rows of images, of which some may have failed already."""
    usable = [image for image in images if not isinstance(image, Exception)]
    results = iter(detector.detect_batch(usable, errors="return"))
    outcomes = (image if isinstance(image, Exception) else next(results) for image in images)
    return table(row(name, outcome) for name, outcome in zip(names, outcomes, strict=True))
