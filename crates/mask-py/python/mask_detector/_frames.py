"""People followed over an iterable of frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._native import Color, Detections, ImageLike, Tracker


def track(
    tracker: Tracker, frames: Iterable[ImageLike], fps: float | None, color: Color
) -> Iterator[Detections]:
    """What the tracker says of each frame: ``fps`` of them are a second, or each is of when it comes."""
    for number, frame in enumerate(frames):
        time = None if fps is None else number / fps
        yield tracker.update(frame, time, color=color)
