"""What a job is to do: the images, divided into the files that their results will be in.

It is written once, beside the results, and what is missing there is what is still to be done. So a job that was
killed goes on with the same division, even if images have come or gone since.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from .._native import is_image_name
from .storage import Location, write

#: A folder of the results for what is not one.
FOLDER = "_job"

_FILES = pa.schema([("file", pa.uint32()), ("image", pa.string())])


class JobError(Exception):
    """A job cannot begin or go on."""


@dataclass(frozen=True)
class Manifest:
    """The images of each file of results, which bears its number."""

    files: list[list[str]]

    @classmethod
    def of(cls, images: list[str], per_file: int) -> Manifest:
        return cls([images[start : start + per_file] for start in range(0, len(images), per_file)])

    @property
    def images(self) -> int:
        return sum(map(len, self.files))

    def name(self, number: int) -> str:
        return f"part-{number:06}.parquet"

    def missing(self, output: Location) -> list[int]:
        """The files that are not there yet."""
        selector = pafs.FileSelector(output.path, allow_not_found=True)
        there = {info.base_name for info in output.filesystem.get_file_info(selector)}
        return [number for number in range(len(self.files)) if self.name(number) not in there]


def open_manifest(
    source: Location, output: Location, per_file: int, settings: dict[str, Any]
) -> tuple[Manifest, bool]:
    """The job's manifest, and whether it was begun before.

    Raises ``JobError`` if the output holds another job, or there is nothing to do.
    """
    settings = {"input": source.uri} | settings
    file, notes = output / FOLDER / "images.parquet", output / FOLDER / "settings.json"
    if file.exists():
        before = json.loads(notes.read())
        differing = [key for key in before.keys() | settings.keys() if before.get(key) != settings.get(key)]
        if differing:
            changes = ", ".join(
                f"{key} was {before.get(key)!r} and is {settings.get(key)!r}" for key in sorted(differing)
            )
            raise JobError(f"{output.uri} holds the results of another job ({changes}); give another output")
        table = pq.read_table(io.BytesIO(file.read()))
        files: list[list[str]] = []
        for number, image in zip(table["file"].to_pylist(), table["image"].to_pylist(), strict=True):
            if number == len(files):
                files.append([])
            files[number].append(image)
        return Manifest(files), True
    images = sorted(set(listed(source)))
    if not images:
        raise JobError(f"{source.uri}: no images there")
    manifest = Manifest.of(images, per_file)
    numbers = [number for number, files in enumerate(manifest.files) for _ in files]
    table = pa.table({"file": numbers, "image": images}, _FILES)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    # The manifest last: where it is, all is.
    write(notes, json.dumps(settings, indent=2).encode())
    write(file, buffer.getvalue())
    return manifest, False


def listed(source: Location) -> Iterator[str]:
    """The images of a folder and the folders in it, or of a list: a Parquet file or CSV with a column ``image``, or
    a text file with one path a line."""
    info = source.info()
    if info.type == pafs.FileType.NotFound:
        raise JobError(f"{source.uri}: not found")
    if info.type == pafs.FileType.Directory:
        selector = pafs.FileSelector(source.path, recursive=True)
        for file in source.filesystem.get_file_info(selector):
            if file.is_file and is_image_name(file.path):
                yield file.path
        return
    ending = PurePosixPath(source.path).suffix.lower()
    if ending in (".parquet", ".csv"):
        data = io.BytesIO(source.read())
        table = pq.read_table(data) if ending == ".parquet" else csv.read_csv(data)
        if "image" not in table.column_names:
            raise JobError(f"{source.uri}: a list of images has a column `image`")
        yield from table["image"].to_pylist()
    elif ending == ".txt":
        yield from filter(None, map(str.strip, source.read().decode().splitlines()))
    else:
        raise JobError(f"{source.uri}: give a folder, or a list that ends in .txt, .csv or .parquet")
