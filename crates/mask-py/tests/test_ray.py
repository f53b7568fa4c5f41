"""Jobs on a small cluster of this machine, and what may happen to them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from PIL import Image

ray = pytest.importorskip("ray")

from mask_detector import Detector  # noqa: E402
from mask_detector.ray import DetectImages, detect_images  # noqa: E402
from mask_detector.ray.manifest import JobError  # noqa: E402
from mask_detector.results import SCHEMA  # noqa: E402

#: Small, so that a test is about files and not about networks.
SIZE = "64x64"


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.fixture
def images(masked, tmp_path) -> Path:
    """Images in folders, one of which is broken, and what is none."""
    folder = tmp_path / "images"
    photo = Image.open(masked)
    for number in range(40):
        path = folder / f"{number % 3}" / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo.resize((120 + number, 120)).save(path)
    (folder / "broken.jpg").write_text("no image")
    (folder / "notes.txt").write_text("no image either")
    return folder


def rows(output: Path) -> list[dict]:
    files = sorted(output.glob("*.parquet"))
    for file in files:
        assert pq.read_schema(file).equals(SCHEMA)
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def assert_complete(images: Path, output: Path) -> None:
    expected = sorted(str(path) for path in images.rglob("*") if path.suffix in (".png", ".jpg"))
    assert sorted(row["image"] for row in rows(output)) == expected


def test_every_image_has_one_row_and_errors_are_rows(images, tmp_path):
    output = tmp_path / "out"
    summary = detect_images(str(images), str(output), images_per_file=7, input_size="300x300")
    assert (summary.images, summary.searched, summary.failed) == (41, 41, 1)
    assert_complete(images, output)
    detector = Detector(threads=1, input_size="300x300")
    for row in rows(output):
        if row["image"].endswith("broken.jpg"):
            assert row["error"] == "not an image: unknown format" and row["faces"] is None
            continue
        expected = detector.detect(row["image"]).to_dict()
        assert (row["width"], row["error"]) == (expected["width"], None)
        assert [face["box"] for face in row["faces"]] == [face["box"] for face in expected["faces"]]
        assert [dict(face["probabilities"]) for face in row["faces"]] == [
            face["probabilities"] for face in expected["faces"]
        ]
    assert summary.faces["with_mask"] > 30


def test_a_job_goes_on_with_what_is_missing(images, tmp_path):
    output = tmp_path / "out"
    detect_images(str(images), str(output), images_per_file=7, input_size=SIZE)
    before = {path: path.stat().st_mtime_ns for path in output.glob("*.parquet")}
    assert len(before) == 6
    (output / "part-000002.parquet").unlink()
    # What has come since belongs to another job.
    Image.new("RGB", (9, 9)).save(images / "new.png")
    summary = detect_images(str(images), str(output), images_per_file=7, input_size=SIZE)
    (images / "new.png").unlink()
    assert (summary.done_before, summary.searched) == (34, 7)
    assert_complete(images, output)
    again = {path: path.stat().st_mtime_ns for path in output.glob("*.parquet")}
    assert [path.name for path in again if again[path] != before[path]] == ["part-000002.parquet"]


def test_other_jobs_are_refused(images, tmp_path):
    output = tmp_path / "out"
    detect_images(str(images), str(output), input_size=SIZE)
    with pytest.raises(JobError, match="another job"):
        detect_images(str(images), str(output), input_size="96x96")
    with pytest.raises(JobError, match="not found"):
        detect_images(str(tmp_path / "absent"), str(tmp_path / "other"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(JobError, match="no images"):
        detect_images(str(tmp_path / "empty"), str(tmp_path / "other"))


def test_lists_of_images(images, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join([str(images / "0" / "000.png"), "/absent.jpg"]))
    summary = detect_images(str(listed), str(tmp_path / "out"), input_size=SIZE)
    assert (summary.images, summary.failed) == (2, 1)
    errors = {row["image"]: row["error"] for row in rows(tmp_path / "out")}
    assert "absent.jpg" in errors["/absent.jpg"] and errors[str(images / "0" / "000.png")] is None


def cluster_address() -> tuple[str, str]:
    """Of this cluster, beside which there may be others."""
    return "--address", ray.get_runtime_context().gcs_address


def workers() -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any("MapWorker" in part for part in process.info["cmdline"] or [])
    ]


def test_a_killed_worker_loses_nothing(images, tmp_path):
    output, killed = tmp_path / "out", []

    def kill() -> None:
        while not list(output.glob("*.parquet")):
            time.sleep(0.01)
        for process in workers()[:1]:
            os.kill(process.pid, signal.SIGKILL)
            killed.append(process.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    # Large enough that there is something left to do when the first file appears.
    summary = detect_images(str(images), str(output), images_per_file=3, input_size="640x640")
    killer.join()
    assert len(killed) == 1
    assert summary.searched == 41
    assert_complete(images, output)


def test_object_storage_by_uri_and_by_fsspec(images, tmp_path, monkeypatch):
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        options = {"endpoint_override": f"http://{host}:{port}", "region": "us-east-1"}
        s3 = pafs.S3FileSystem(access_key="test", secret_key="test", allow_bucket_creation=True, **options)
        s3.create_dir("photos")
        s3.create_dir("faces")
        pafs.copy_files(str(images), "photos/all", destination_filesystem=s3)
        query = f"scheme=http&endpoint_override={host}%3A{port}&region=us-east-1"
        source = f"s3://test:test@photos/all?{query}"
        summary = detect_images(
            source, f"s3://test:test@faces/uri?{query}", images_per_file=20, input_size=SIZE
        )
        assert (summary.images, summary.failed) == (41, 1)

        import s3fs

        fsspec_s3 = s3fs.S3FileSystem(
            key="test", secret="test", client_kwargs={"endpoint_url": options["endpoint_override"]}
        )
        filesystems = {"source_filesystem": fsspec_s3, "output_filesystem": fsspec_s3}
        detect_images("photos/all", "faces/fsspec", images_per_file=20, input_size=SIZE, **filesystems)
        tables = [
            pq.read_table(f"faces/{folder}", filesystem=s3, ignore_prefixes=["_"]).sort_by("image")
            for folder in ("uri", "fsspec")
        ]
        assert tables[0].num_rows == 41 and tables[0].equals(tables[1])
    finally:
        server.stop()


def test_the_stage_in_a_pipeline_of_ones_own(images):
    dataset = ray.data.read_binary_files(str(images), include_paths=True, file_extensions=["png"])
    results = dataset.map_batches(
        DetectImages,
        fn_constructor_kwargs={"input_size": SIZE},
        batch_format="pyarrow",
        batch_size=16,
        compute=ray.data.ActorPoolStrategy(size=1),
    ).take_all()
    assert len(results) == 40 and all(row["width"] >= 120 and row["error"] is None for row in results)


def test_the_command(images, tmp_path):
    def run(*arguments: object) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "mask_detector.ray", *map(str, arguments), "--input-size", SIZE]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    done = run(images, tmp_path / "out", *cluster_address())
    assert done.returncode == 1, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["searched"], summary["failed"]) == (41, 1)
    # Ray's core warns of each pool of workers, whoever makes it.
    assert [line for line in done.stderr.splitlines() if "core_worker.cc" not in line] == []
    done = run(images, tmp_path / "out", *cluster_address())
    assert (done.returncode, json.loads(done.stdout)["done_before"]) == (0, 41)
    done = run(tmp_path / "absent", tmp_path / "out2", *cluster_address())
    assert done.returncode == 2 and done.stderr.count("\n") == 1
