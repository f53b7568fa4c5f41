"""The schema of results in Parquet files: one row an image, that of ``mask-cli detect --format parquet``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from ._native import Detections

_BOX = pa.struct([pa.field(name, pa.float32(), False) for name in ("x_min", "y_min", "x_max", "y_max")])

_FACE = pa.struct(
    [
        pa.field("box", _BOX, False),
        pa.field("confidence", pa.float32(), False),
        pa.field("label", pa.string(), False),
        pa.field("probabilities", pa.map_(pa.string(), pa.field("value", pa.float32(), False)), False),
    ]
)

#: An image that failed has an ``error``, and neither a size nor faces.
SCHEMA = pa.schema(
    [
        pa.field("image", pa.string(), False),
        pa.field("width", pa.uint32()),
        pa.field("height", pa.uint32()),
        pa.field("faces", pa.list_(pa.field("item", _FACE, False))),
        pa.field("warning", pa.string()),
        pa.field("drawn", pa.string()),
        pa.field("error", pa.string()),
    ]
)


def row(image: str, result: Detections | Exception) -> dict[str, Any]:
    """The row of an image."""
    if isinstance(result, Exception):
        return {"image": image, "error": str(result)}
    return result.to_dict() | {"image": image}


def table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """Rows as a table."""
    return pa.Table.from_pylist(list(rows), SCHEMA)
