"""Parquet files of the program, read by pyarrow."""

import io
import subprocess

import pyarrow.parquet as pq
from mask_detector import Detector
from mask_detector.results import SCHEMA, row, table


def test_the_programs_parquet_has_the_same_schema_and_rows(detector: Detector, photos, program, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_text("no image")
    output = subprocess.run(
        [program, "detect", "--format", "parquet", *photos, broken], check=False, capture_output=True
    )
    assert output.returncode == 1
    program_table = pq.read_table(io.BytesIO(output.stdout))
    assert program_table.schema.remove_metadata().equals(SCHEMA), program_table.schema
    images = [*map(str, photos), str(broken)]
    results = detector.detect_batch(images, errors="return")
    ours = table(row(image, result) for image, result in zip(images, results, strict=True))
    # A message names the file where the program's line does already.
    messages = [text and text.removeprefix(f"{broken}: ") for text in ours["error"].to_pylist()]
    assert messages == program_table["error"].to_pylist()
    assert ours.drop(["error"]).equals(program_table.drop(["error"]))
