"""Where files are: folders of this machine, or what pyarrow and fsspec know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow.fs as pafs

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


@dataclass(frozen=True)
class Location:
    """A path of a file system."""

    filesystem: pafs.FileSystem
    path: str
    #: As it was given.
    uri: str

    @classmethod
    def of(cls, uri: str, filesystem: pafs.FileSystem | AbstractFileSystem | None = None) -> Location:
        """Of a path, a URI that pyarrow or fsspec knows, or a path of the file system that is given."""
        if filesystem is None:
            if "://" not in uri:
                return cls(pafs.LocalFileSystem(), str(Path(uri).absolute()), uri)
            try:
                filesystem, path = pafs.FileSystem.from_uri(uri)
            except (ValueError, NotImplementedError):
                import fsspec

                filesystem, path = fsspec.core.url_to_fs(uri)
        else:
            path = uri
        return cls(_arrow(filesystem), path.rstrip("/"), uri)

    def __truediv__(self, name: str) -> Location:
        return Location(self.filesystem, f"{self.path}/{name}", f"{self.uri.rstrip('/')}/{name}")

    def info(self) -> pafs.FileInfo:
        return self.filesystem.get_file_info(self.path)

    def exists(self) -> bool:
        return bool(self.info().type != pafs.FileType.NotFound)

    def read(self) -> bytes:
        with self.filesystem.open_input_file(self.path) as file:
            return bytes(file.read())


def write(to: Location, data: bytes) -> None:
    """Writes a file, so that nobody ever sees a part of it."""
    folder = to.path.rpartition("/")[0]
    to.filesystem.create_dir(folder, recursive=True)
    # An object store shows an object only when it is whole, and has no renaming.
    local = isinstance(to.filesystem, pafs.LocalFileSystem)
    path = f"{folder}/.{uuid4().hex}.part" if local else to.path
    with to.filesystem.open_output_stream(path) as file:
        file.write(data)
    if local:
        to.filesystem.move(path, to.path)


def _arrow(filesystem: Any) -> pafs.FileSystem:
    if isinstance(filesystem, pafs.FileSystem):
        return filesystem
    return pafs.PyFileSystem(pafs.FSSpecHandler(filesystem))
