"""Twenty thousand images on a cluster of a head and two nodes of this machine, whose worker is killed and whose head is
restarted; then the throughput beside the program's.

    python3 bench/ray_job.py --program target/release/mask-cli --photos examples/astronaut*.jpg --folder /tmp/ray-job
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pyarrow.parquet as pq
from PIL import Image, ImageEnhance

HEAD = "127.0.0.1:6399"


def make_images(folder: Path, photos: list[Path], count: int) -> None:
    """Photographs, cropped, mirrored, made lighter or darker, by a seed."""
    chance = random.Random(19)
    sources = [Image.open(photo).convert("RGB") for photo in photos]
    for number in range(count):
        path = folder / f"{number // 1000:03}" / f"{number:06}.jpg"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        image = chance.choice(sources)
        left, top = chance.randrange(64), chance.randrange(64)
        image = image.crop(
            (left, top, image.width - chance.randrange(64), image.height - chance.randrange(64))
        )
        if chance.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        ImageEnhance.Brightness(image).enhance(chance.uniform(0.6, 1.4)).save(path, quality=85)


def start(folder: Path) -> None:
    # On loopback nobody else can come.
    os.environ["RAY_AUTH_MODE"] = "disabled"
    ray = [str(Path(sys.executable).with_name("ray")), "start", "--disable-usage-stats"]
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = os.environ | {"RAY_TMPDIR": str(folder / "ray")}
    head = [*ray, "--head", "--port", HEAD.split(":")[1], "--num-cpus", "0", "--include-dashboard=false"]
    subprocess.run([*head, "--node-ip-address", "127.0.0.1"], env=environment, **quiet)
    for _ in range(2):
        subprocess.run([*ray, "--address", HEAD, "--num-cpus", "1"], env=environment, **quiet)


def stop() -> None:
    ray = str(Path(sys.executable).with_name("ray"))
    subprocess.run(
        [ray, "stop", "--force"], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def job(images: Path, output: Path) -> list[str]:
    return [
        sys.executable,
        "-m",
        "mask_detector.ray",
        str(images),
        str(output),
        "--address",
        HEAD,
        "--workers",
        "2",
    ]


def parts(output: Path) -> int:
    return len(list(output.glob("part-*.parquet")))


def wait_for(output: Path, count: int, process: subprocess.Popen) -> None:
    while parts(output) < count:
        if process.poll() is not None:
            sys.exit("the job ended too early")
        time.sleep(0.2)


def processes(word: str) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if word in " ".join(process.info["cmdline"] or [])
    ]


def killed_and_restarted(images: Path, output: Path, folder: Path, count: int) -> None:
    start(folder)
    files = (count + 499) // 500
    first = subprocess.Popen(job(images, output), stdout=subprocess.DEVNULL)
    wait_for(output, files // 4, first)
    worker = processes("MapWorker")[0]
    os.kill(worker.pid, signal.SIGKILL)
    print(f"worker {worker.pid} killed with {parts(output)} of {files} files done")
    wait_for(output, files // 2, first)
    stop()
    first.wait()
    print(
        f"head and nodes gone with {parts(output)} of {files} files done; the job ended with {first.returncode}"
    )
    start(folder)
    second = subprocess.run(job(images, output), check=True, stdout=subprocess.PIPE, text=True)
    summary = json.loads(second.stdout)
    print("begun again:", summary)
    seen = Counter(
        image for file in output.glob("*.parquet") for image in pq.read_table(file)["image"].to_pylist()
    )
    once = sum(times == 1 for times in seen.values())
    print(f"{len(seen)} images in the results, {once} of them exactly once, of {count}")
    assert len(seen) == once == count
    stop()


def throughput(program: Path, images: Path, folder: Path, rounds: int) -> None:
    """Images a second of the program and of the job on the same images, in turn."""
    some = folder / "some.txt"
    paths = sorted(map(str, images.rglob("*.jpg")))[:4000]
    some.write_text("\n".join(paths))
    start(folder)
    for turn in range(rounds):
        begun = time.monotonic()
        with some.open() as listed:
            command = [program, "detect", "-", "--threads", "2", "--format", "ndjson"]
            subprocess.run(command, stdin=listed, check=True, stdout=subprocess.DEVNULL)
        alone = len(paths) / (time.monotonic() - begun)
        output = folder / f"some-{turn}"
        done = subprocess.run(job(some, output), check=True, stdout=subprocess.PIPE, text=True)
        rate = json.loads(done.stdout)["images_per_second"]
        print(f"program {alone:.1f} images/s, Ray {rate:.1f}: {rate / alone:.3f}")
    stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    images = options.folder / "images"
    make_images(images, options.photos, options.count)
    stop()
    throughput(options.program, images, options.folder, options.rounds)
    killed_and_restarted(images, options.folder / "out", options.folder, options.count)


if __name__ == "__main__":
    main()
