#!/usr/bin/env python3
"""Far more requests than the server can answer, among clients that behave badly.

    MASK_CLI=target/debug/mask-cli load.py SECONDS PER_SECOND IMAGES...

Requests come at a rate of their own, whatever the server does. Beside them: clients that send a head letter by
letter, bodies that are cut off, and every minute twenty uploads of twelve megapixels at once.
"""

import asyncio
import collections
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from server import EXAMPLES, serve  # noqa: E402

SLOW_CLIENTS = 20


async def post(host, port, body):
    """The status of an answer, and how long it took."""
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection(host, port)
    try:
        head = f"POST /v1/detect HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.read()
        status = int(answer.split(b" ", 2)[1]) if answer else 0
        if status == 200:
            json.loads(answer.partition(b"\r\n\r\n")[2])["faces"]
        return status, time.monotonic() - begun
    finally:
        writer.close()


async def slow(host, port, until):
    """Sends a request's head letter by letter, again and again."""
    while time.monotonic() < until:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            for letter in b"POST /v1/detect HTTP/1.1\r\nX-Slow: " + b"a" * 1000:
                writer.write(bytes([letter]))
                await writer.drain()
                await asyncio.sleep(1)
        except OSError:
            pass
        finally:
            writer.close()


async def cut_off(host, port, until):
    while time.monotonic() < until:
        _, writer = await asyncio.open_connection(host, port)
        writer.write(b"POST /v1/detect HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nno more")
        await writer.drain()
        writer.transport.abort()
        await asyncio.sleep(0.5)


async def run(host, port, child, seconds, rate, bodies, large):
    begun = time.monotonic()
    until = begun + seconds
    answers, memory, tasks = [], [], set()
    uploads = collections.Counter()

    def launch(body, counted):
        async def ask():
            try:
                counted(*await post(host, port, body))
            except OSError as error:
                counted(type(error).__name__, 0.0)

        task = asyncio.create_task(ask())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    beside = [asyncio.create_task(slow(host, port, until)) for _ in range(SLOW_CLIENTS)]
    beside.append(asyncio.create_task(cut_off(host, port, until)))
    count = 0
    while (now := time.monotonic()) < until:
        while count < (now - begun) * rate:
            launch(bodies[count % len(bodies)], lambda status, took: answers.append((status, took)))
            count += 1
            if count % (60 * rate) == 30 * rate:
                for _ in range(20):
                    launch(large, lambda status, took: uploads.update([status]))
            if count % (5 * rate) == 0:
                status = pathlib.Path(f"/proc/{child.pid}/status").read_text()
                line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
                memory.append(int(line.split()[1]) / 1024)
        await asyncio.sleep(0.002)
    await asyncio.gather(*tasks)
    for task in beside:
        task.cancel()
    return answers, uploads, memory


def main():
    seconds, rate = int(sys.argv[1]), int(sys.argv[2])
    bodies = [pathlib.Path(path).read_bytes() for path in sys.argv[3:]]
    command = ["ffmpeg", "-v", "error", "-i", EXAMPLES / "astronaut.jpg", "-vf", "scale=4000:3000"]
    large = subprocess.run(command + ["-f", "mjpeg", "-"], capture_output=True, check=True).stdout
    server, address = serve()
    url = urllib.parse.urlsplit(address)
    work = run(url.hostname, url.port, server, seconds, rate, bodies, large)
    answers, uploads, memory = asyncio.run(work)
    server.terminate()
    code = server.wait()
    print(f"{len(answers)} requests: {dict(collections.Counter(status for status, _ in answers))}, exit status {code}")
    took = sorted(took for status, took in answers if status == 200)
    quantile = lambda part: took[int(part * (len(took) - 1))]
    print(f"answered {len(took) / seconds:.1f} a second; p50 {quantile(0.5):.2f} s, p99 {quantile(0.99):.2f} s, most {took[-1]:.2f} s")
    print(f"uploads of 12 megapixels: {dict(uploads)}")
    third = len(memory) // 3
    print(f"memory: median {statistics.median(memory[:third]):.0f} MB in the first third, {statistics.median(memory[-third:]):.0f} MB in the last, at most {max(memory):.0f} MB")


if __name__ == "__main__":
    main()
