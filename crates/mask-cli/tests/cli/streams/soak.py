#!/usr/bin/env python3
"""Runs `mask-cli watch` for a long time with a fault each minute, and counts what was lost.

    soak.py MASK_CLI SECONDS FOLDER

FOLDER gets everything that the run writes. Needs ffmpeg, GStreamer's RTSP server and mosquitto, as the tests beside
it do. The camera has 640 x 360 pixels and 25 frames a second; four people walk through its picture for ever.
"""

import collections
import http.server
import json
import os
import pathlib
import signal
import sqlite3
import statistics
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLES = HERE.parents[4] / "examples"
RTSP, WEB, MQTT = 8571, 8572, 8573
SCENE = """
[[line]]
name = "door"
from = [0.5, 1.0]
to = [0.5, 0.0]
[[rule]]
name = "bare"
when = "class"
class = "without_mask"
seconds = 1
cooldown = 5
[[rule]]
name = "crossed"
when = "crossed"
line = "door"
cooldown = 0
[[rule]]
name = "lost"
when = "lost"
cooldown = 0
[[rule]]
name = "back"
when = "back"
cooldown = 0
[[rule]]
name = "frozen"
when = "frozen"
cooldown = 0
"""


def frames(folder):
    """Writes the camera's pictures."""
    inputs, filters, last = [], [], "[0]"
    for at, name in enumerate(["astronaut.jpg"] * 4):
        inputs += ["-i", EXAMPLES / name]
        size = 150 - 10 * at
        filters.append(f"[{at + 1}]crop=200:200:140:0,scale={size}:{size}[p{at}]")
        x = f"mod(t*{60 + 15 * at}+{200 * at}\\,800)-160"
        filters.append(f"{last}[p{at}]overlay=x='{x}':y={10 + 60 * at}:shortest=0[o{at}]")
        last = f"[o{at}]"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "color=gray:s=640x360:r=25:d=40"]
    command += inputs + ["-filter_complex", ";".join(filters), "-map", last, "-q:v", "3", "-start_number", "0"]
    subprocess.run(command + [folder / "%04d.jpg"], check=True)


class Hook(http.server.BaseHTTPRequestHandler):
    heard = []
    hangs = False

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        while Hook.hangs:
            time.sleep(0.1)
        Hook.heard.append(body.decode())
        try:
            self.send_response(204)
            self.end_headers()
        except OSError:
            pass  # It has given up.

    def log_message(self, *_):
        pass


def main():
    program, seconds, folder = sys.argv[1], float(sys.argv[2]), pathlib.Path(sys.argv[3])
    images = folder / "images"
    images.mkdir(parents=True)
    frames(images)
    (folder / "scene.toml").write_text(SCENE)
    (folder / "mosquitto.conf").write_text(
        f"listener {MQTT} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n"
        f"persistence_location {folder}/\n"
    )

    def start(*command, out="/dev/null"):
        with open(out, "w") as target:
            return subprocess.Popen([str(part) for part in command], stdout=target, stderr=subprocess.DEVNULL)

    camera = lambda: start("/usr/bin/python3", HERE / "rtsp_camera.py", RTSP, images / "%04d.jpg")
    broker = lambda: start("mosquitto", "-c", folder / "mosquitto.conf")
    os.environ["PATH"] += ":/usr/sbin"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", WEB), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    serving, brokering = camera(), broker()
    time.sleep(3)
    topic = ["-p", MQTT, "-t", "soak", "-c", "-q", 1, "-i", "soak-listener"]
    listener = start("mosquitto_sub", *topic, out=folder / "published")
    db = folder / "record.sqlite"
    watch = [program, "watch", f"rtsp://127.0.0.1:{RTSP}/camera", "--scene", folder / "scene.toml", "--db", db]
    watch += ["--save-events", folder / "saved", "--keep-megabytes", "20", "--clips", "2", "--stall", "5"]
    watch += ["--on-event", f"cat >> {folder}/commanded", "--webhook", f"http://127.0.0.1:{WEB}/hook"]
    watch += ["--mqtt", f"mqtt://127.0.0.1:{MQTT}/soak", "--event-limit", "5", "--summary"]
    with open(folder / "frames.ndjson", "w") as out, open(folder / "errors", "w") as errors:
        watched = subprocess.Popen([str(part) for part in watch], stdout=out, stderr=errors)

    faults, memory = collections.Counter(), []
    begun, next_fault = time.monotonic(), 60
    while (passed := time.monotonic() - begun) < seconds:
        time.sleep(10)
        status = pathlib.Path(f"/proc/{watched.pid}/status").read_text()
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        memory.append(int(resident.split()[1]) / 1024)
        if passed < next_fault or passed > seconds - 60:
            continue
        next_fault += 60
        fault = ["camera killed", "camera stopped", "database locked", "broker killed", "webhook hangs"]
        fault = fault[sum(faults.values()) % 5]
        faults[fault] += 1
        if fault == "camera killed":
            serving.kill()
            serving.wait()
            time.sleep(3)
            serving = camera()
        elif fault == "camera stopped":
            serving.send_signal(signal.SIGSTOP)
            time.sleep(12)
            serving.send_signal(signal.SIGCONT)
        elif fault == "database locked":
            lock = sqlite3.connect(db, isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            time.sleep(20)
            lock.execute("COMMIT")
            lock.close()
        elif fault == "broker killed":
            brokering.terminate()
            brokering.wait()
            time.sleep(20)
            brokering = broker()
        else:
            Hook.hangs = True
            time.sleep(12)
            Hook.hangs = False

    watched.send_signal(signal.SIGTERM)
    code = watched.wait()
    time.sleep(3)
    for child in (listener, serving, brokering):
        child.terminate()
    (folder / "memory").write_text("\n".join(f"{value:.1f}" for value in memory))

    record = sqlite3.connect(db)
    recorded = [row[0] for row in record.execute("SELECT json FROM event ORDER BY id")]
    canonical = lambda lines: {json.dumps(json.loads(line), sort_keys=True) for line in lines if line.strip()}
    of_frames = [event for line in open(folder / "frames.ndjson") for event in json.loads(line).get("events", [])]
    all_events = canonical(recorded)
    missing = {
        "events of frames that the database lacks": canonical(map(json.dumps, of_frames)) - all_events,
        "not heard by the command": all_events - canonical(open(folder / "commanded")),
        "not heard by the webhook": all_events - canonical(Hook.heard),
        "not heard by the broker": all_events - canonical(open(folder / "published")),
    }
    print(f"exit status {code}, faults {dict(faults)}")
    print(f"{len(recorded)} events recorded, {len(of_frames)} of them in frames")
    for what, events in missing.items():
        print(f"{what}: {len(events)}")
    early, late = memory[6:36] or memory, memory[-30:]
    print(f"memory: {statistics.median(early):.1f} MB in minutes 1 to 6, {statistics.median(late):.1f} MB at the end")
    size = sum(path.stat().st_size for path in (folder / "saved").iterdir())
    print(f"{len(list((folder / 'saved').iterdir()))} pictures and clips, {size / 1e6:.1f} MB")
    print((folder / "errors").read_text().strip().splitlines()[-2:])


main()
