"""A job: the images of a manifest to the files of results that are missing."""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
import ray

from .. import __version__
from .._native import Detector
from .manifest import Manifest, open_manifest
from .stage import search
from .storage import Location, write

if TYPE_CHECKING:
    import pyarrow.fs as pafs
    from fsspec import AbstractFileSystem

    FileSystem: TypeAlias = pafs.FileSystem | AbstractFileSystem

#: Images of a file of results. What is killed loses at most one unfinished file a worker.
IMAGES_PER_FILE = 500
#: Images that a worker holds at once.
IMAGES_AT_ONCE = 32

#: Images that a worker reads at the same time, as distant storage wants it.
READERS = 8

#: What a worker says of a file that it has made.
_DONE = pa.schema([("images", pa.int64()), ("failed", pa.int64()), ("labels", pa.list_(pa.string()))])


@dataclass
class Summary:
    """What was done, and found."""

    #: Images of the whole job.
    images: int
    #: Images that were done before, and are not counted below.
    done_before: int
    searched: int = 0
    failed: int = 0
    #: Faces of each label.
    faces: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        rate = self.searched / self.seconds if self.seconds else 0.0
        return {
            "images": self.images,
            "done_before": self.done_before,
            "searched": self.searched,
            "failed": self.failed,
            "faces": dict(sorted(self.faces.items())),
            "seconds": round(self.seconds, 3),
            "images_per_second": round(rate, 3),
        }


class _Worker:
    """Makes whole files of results. The networks are loaded once."""

    def __init__(self, source: Location, output: Location, threads: int, detector: dict[str, Any]) -> None:
        self._source, self._output = source, output
        self._detector = Detector(threads=threads, **detector)

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pa.Table.from_pylist([self._file(**row) for row in batch.to_pylist()], _DONE)

    def _file(self, file: str, images: list[str]) -> dict[str, Any]:
        chunks = [images[at : at + IMAGES_AT_ONCE] for at in range(0, len(images), IMAGES_AT_ONCE)]
        parts = []
        with ThreadPoolExecutor(READERS) as readers:
            coming = [readers.submit(self._read, name) for name in chunks[0]]
            for names, following in zip(chunks, [*chunks[1:], []], strict=True):
                here = [reading.result() for reading in coming]
                # The next ones come while these are searched.
                coming = [readers.submit(self._read, name) for name in following]
                parts.append(search(self._detector, names, here))
        results = pa.concat_tables(parts)
        buffer = io.BytesIO()
        pq.write_table(results, buffer, compression="zstd")
        write(self._output / file, buffer.getvalue())
        labels = [face["label"] for faces in results["faces"].to_pylist() for face in faces or []]
        failed = results.num_rows - results["error"].null_count
        return {"images": results.num_rows, "failed": failed, "labels": labels}

    def _read(self, image: str) -> bytes | Exception:
        try:
            with self._source.filesystem.open_input_file(image) as file:
                return bytes(file.read())
        except (OSError, pa.ArrowException) as error:
            return error


def detect_images(
    source: str,
    output: str,
    *,
    source_filesystem: FileSystem | None = None,
    output_filesystem: FileSystem | None = None,
    workers: int | None = None,
    threads: int = 1,
    images_per_file: int = IMAGES_PER_FILE,
    progress: Callable[[Summary], None] | None = None,
    **detector: Any,
) -> Summary:
    """Searches all images of ``source`` and writes the results into the folder ``output``, as Parquet.

    ``source`` is a folder, or a list: a text file with a path a line, or CSV or Parquet with a column ``image``. Both
    may be paths, URIs, or paths of the file systems given. An image that cannot be used has a row with its error. If
    the job was begun before, it goes on where it ended.

    ``workers`` processes of ``threads`` threads, as many as the cluster has cores for if none are given, each with
    the networks loaded once. Ray begins those anew that die. The arguments that are left are ``Detector``'s.

    Raises ``JobError`` if the output holds the results of another job, or there are no images.
    """
    begun = time.monotonic()
    taken, into = Location.of(source, source_filesystem), Location.of(output, output_filesystem)
    settings = {"images_per_file": images_per_file, "version": __version__, "detector": detector}
    manifest, _ = open_manifest(taken, into, images_per_file, settings)
    missing = manifest.missing(into)
    to_do = sum(len(manifest.files[number]) for number in missing)
    summary = Summary(images=manifest.images, done_before=manifest.images - to_do)
    if missing:
        cores = ray.cluster_resources().get("CPU", 1)  # type: ignore[no-untyped-call]
        workers = min(workers or max(1, int(cores) // threads), len(missing))
        _run(manifest, missing, _stage(taken, into, workers, threads, detector), summary, progress, begun)
    summary.seconds = time.monotonic() - begun
    return summary


def _stage(
    source: Location, output: Location, workers: int, threads: int, detector: dict[str, Any]
) -> Callable[[ray.data.Dataset], ray.data.Dataset]:
    # Workers that die are begun anew, and their files with them, as Ray does unless it is told otherwise.
    return lambda files: files.map_batches(
        _Worker,
        fn_constructor_args=(source, output, threads, detector),
        batch_format="pyarrow",
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=threads,
    )


def _run(
    manifest: Manifest,
    missing: list[int],
    stage: Callable[[ray.data.Dataset], ray.data.Dataset],
    summary: Summary,
    progress: Callable[[Summary], None] | None,
    begun: float,
) -> None:
    files = [{"file": manifest.name(number), "images": manifest.files[number]} for number in missing]
    # A block a file, so that any worker may take it next.
    dataset = ray.data.from_items(files, override_num_blocks=len(files))
    for done in stage(dataset).iter_rows():
        summary.searched += done["images"]
        summary.failed += done["failed"]
        summary.faces.update(done["labels"])
        summary.seconds = time.monotonic() - begun
        if progress is not None:
            progress(summary)
