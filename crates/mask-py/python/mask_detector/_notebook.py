"""Detections as notebooks show them."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

from ._native import encode_jpeg
from .errors import ImageError

if TYPE_CHECKING:
    from ._native import Detections


def html(detections: Detections) -> str:
    """The drawn image, where it is a file that is still there, and a table of the faces."""
    figure = ""
    if detections.image is not None:
        try:
            jpeg = encode_jpeg(detections.draw())
        except (OSError, ImageError):
            figure = f"<p>{escape(detections.image)}</p>"
        else:
            data = base64.b64encode(jpeg).decode()
            figure = (
                f'<img style="max-width: 100%" alt="{escape(detections.image)}"'
                f' src="data:image/jpeg;base64,{data}">'
            )
    rows = "".join(
        f"<tr><td>{escape(face.label)}</td><td>{100 * face.label_probability:.1f} %</td>"
        f"<td>{100 * face.confidence:.1f} %</td><td>{x_max - x_min:.0f} x {y_max - y_min:.0f}</td></tr>"
        for face in detections
        for x_min, y_min, x_max, y_max in [face.bbox]
    )
    head = "<tr><th>label</th><th>probability</th><th>face</th><th>pixels</th></tr>"
    return f"{figure}<table>{head}{rows}</table>"
