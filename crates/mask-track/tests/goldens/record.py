"""Makes sequences of people who walk, the boxes that a detector might find, and what peers make of them.

usage: python3 record.py [FOUND.ndjson]    (numpy; trackers 2.1, norfair 2.1, motmetrics 1.4)

FOUND.ndjson is what `mask-cli detect --min-confidence 0.2 frames` finds in the frames of the video that
docs/performance.md makes: four photographs that move over each other, so that it is known where each face is.

Writes beside itself: NAME.csv with the lines
    truth,FRAME,PERSON,x_min,y_min,x_max,y_max
    found,FRAME,CONFIDENCE,x_min,y_min,x_max,y_max
and scores.csv with the lines NAME,PEER,MOTA,IDF1,SWITCHES.
"""
import json
import sys
import warnings
from pathlib import Path

import motmetrics
import norfair
import numpy as np
import supervision
import trackers

warnings.filterwarnings("ignore")
# motmetrics 1.4 still calls what numpy 2 no longer has.
np.asfarray = lambda values: np.asarray(values, float)
here = Path(__file__).parent
WIDTH, HEIGHT = 640, 360

# Frames a second, people, frames, their speed in pixels a second, share of faces that are missed, false
# faces a frame.
SEQUENCES = {
    "few": (25, 4, 200, 60, 0.03, 0.02),
    "crowd": (25, 14, 150, 50, 0.10, 0.20),
    "slow_camera": (8, 5, 120, 70, 0.05, 0.05),
    "turning_away": (25, 6, 200, 70, 0.35, 0.05),
}


def make(name, seed):
    rate, people, frames, speed, missed, false = SEQUENCES[name]
    random = np.random.default_rng(seed)
    size = random.uniform(24, 60, people)
    place = random.uniform([0, 60], [WIDTH, HEIGHT - 60], (people, 2))
    velocity = random.normal(0, speed, (people, 2)) * [1, 0.25]
    enters = random.integers(0, frames // 3, people)
    leaves = random.integers(frames // 2, frames + frames // 3, people)
    away = np.zeros(people, int)
    truth, found = [], []
    for frame in range(frames):
        velocity += random.normal(0, speed * 0.3 / np.sqrt(rate), (people, 2)) * [1, 0.25]
        place += velocity / rate
        velocity[:, 0] *= np.where((place[:, 0] < 0) | (place[:, 0] > WIDTH), -1, 1)
        velocity[:, 1] *= np.where((place[:, 1] < 40) | (place[:, 1] > HEIGHT - 40), -1, 1)
        boxes = np.concatenate([place - size[:, None] * [0.4, 0.5], place + size[:, None] * [0.4, 0.5]], 1)
        # Who is nearer stands in front.
        order = np.argsort(-size)
        for at, person in enumerate(order):
            if not enters[person] <= frame < leaves[person]:
                continue
            box = boxes[person]
            covered = 0.0
            for front in order[:at]:
                if enters[front] <= frame < leaves[front]:
                    other = boxes[front]
                    w = min(box[2], other[2]) - max(box[0], other[0])
                    h = min(box[3], other[3]) - max(box[1], other[1])
                    if w > 0 and h > 0:
                        covered = max(covered, w * h / ((box[2] - box[0]) * (box[3] - box[1])))
            if covered > 0.75:
                continue
            truth.append((frame, person + 1, *box))
            # A head that turns away is gone for some frames, not for one.
            if away[person] == 0 and random.random() < missed / 6:
                away[person] = random.integers(2, 12)
            if away[person] > 0:
                away[person] -= 1
                if random.random() < 0.6:
                    continue
                confidence = random.uniform(0.2, 0.6)
            else:
                confidence = np.clip(random.normal(0.92 - 0.7 * covered, 0.08), 0.05, 0.999)
            noise = random.normal(0, 0.04, 4) * size[person]
            found.append((frame, confidence, *(box + noise)))
        for _ in range(random.poisson(false)):
            x, y, side = random.uniform(0, WIDTH), random.uniform(0, HEIGHT), random.uniform(15, 50)
            found.append((frame, random.uniform(0.2, 0.8), x, y, x + side, y + side))
    return rate, frames, truth, found


def scores(truth, tracks, frames):
    accumulator = motmetrics.MOTAccumulator(auto_id=False)
    for frame in range(frames):
        ours = [row for row in truth if row[0] == frame]
        theirs = [row for row in tracks if row[0] == frame]
        xywh = lambda rows: np.array([(r[2], r[3], r[4] - r[2], r[5] - r[3]) for r in rows]).reshape(-1, 4)
        distances = motmetrics.distances.iou_matrix(xywh(ours), xywh(theirs), max_iou=0.5)
        accumulator.update([r[1] for r in ours], [r[1] for r in theirs], distances, frameid=frame)
    summary = motmetrics.metrics.create().compute(accumulator, metrics=["mota", "idf1", "num_switches"])
    return summary.iloc[0]


def by_trackers(found, rate, frames):
    """Roboflow's ByteTrack."""
    tracker = trackers.ByteTrackTracker(
        frame_rate=rate, track_activation_threshold=0.65, high_conf_det_threshold=0.65
    )
    tracks = []
    for frame in range(frames):
        rows = [row for row in found if row[0] == frame]
        detections = supervision.Detections(
            xyxy=np.array([row[2:] for row in rows], float).reshape(-1, 4),
            confidence=np.array([row[1] for row in rows], float),
            class_id=np.zeros(len(rows), int),
        )
        tracked = tracker.update(detections)
        rows = zip(tracked.tracker_id, tracked.xyxy)
        tracks += [(frame, int(number), *box) for number, box in rows if number >= 0]
    return tracks


def by_norfair(found, rate, frames):
    """Norfair, on IoU, with the boxes that begin a track in ours."""
    tracker = norfair.Tracker("iou", 0.7, hit_counter_max=max(rate, 8), initialization_delay=2)
    tracks = []
    for frame in range(frames):
        rows = [row for row in found if row[0] == frame and row[1] >= 0.65]
        boxes = [norfair.Detection(np.array(row[2:]).reshape(2, 2), np.full(2, row[1])) for row in rows]
        # What is only predicted does not count.
        for tracked in tracker.update(boxes):
            if tracked.last_detection in boxes:
                tracks.append((frame, tracked.id, *tracked.estimate.flatten()))
    return tracks


def photographs(found_file):
    """The four photographs' faces where ffmpeg put them, and what the detector found."""
    # Faces in the photographs of 512 x 512 pixels, drawn at 200 x 200; where each is at a time.
    faces = [(179.9, 71.7, 268.6, 174.1), (181.2, 71.7, 271.2, 175.0), *[(177.8, 69.4, 269.1, 183.3)] * 2]
    places = [
        lambda t: (20 + 15 * np.sin(2 * t), 10 + 10 * t),
        lambda t: (220 + 30 * np.sin(t), 10),
        lambda t: (420, 10 + 20 * np.sin(t)),
        lambda t: (640 - 90 * t, 150),
    ]
    truth, found = [], []
    for frame, line in enumerate(open(found_file)):
        corners = [np.floor(place(frame / 25)) for place in places]
        for person, (face, (x, y)) in enumerate(zip(faces, corners)):
            box = np.array(face) * 200 / 512 + [x, y, x, y]
            # Those behind are drawn over this one; what is hidden or outside for the most part is not there.
            seen = box[2] - max(box[0], 0), min(box[2], WIDTH) - box[0]
            size = box[2] - box[0], box[3] - box[1]
            covered = 0.0
            for front in corners[person + 1 :]:
                w = min(box[2], front[0] + 200) - max(box[0], front[0])
                h = min(box[3], front[1] + 200) - max(box[1], front[1])
                covered = max(covered, max(w, 0) * max(h, 0) / (size[0] * size[1]))
            if covered < 0.75 and min(seen) > 0.5 * size[0]:
                truth.append((frame, person + 1, *box))
        for found_face in json.loads(line)["faces"]:
            box = found_face["box"]
            corners_of = (box["x_min"], box["y_min"], box["x_max"], box["y_max"])
            found.append((frame, found_face["confidence"], *corners_of))
    return 25, frame + 1, truth, found


lines = []
names = [*SEQUENCES, *(["photographs"] if len(sys.argv) > 1 else [])]
for seed, name in enumerate(names):
    made = photographs(sys.argv[1]) if name == "photographs" else make(name, seed)
    rate, frames, truth, found = made
    rounded = [(f, round(float(c), 3), *(round(float(v), 1) for v in box)) for f, c, *box in found]
    exact = [(f, int(p), *(round(float(v), 1) for v in box)) for f, p, *box in truth]
    text = [",".join(map(str, ("truth", *row))) for row in exact]
    text += [",".join(map(str, ("found", *row))) for row in rounded]
    (here / f"{name}.csv").write_text("\n".join(text) + "\n")
    for peer, track in (("trackers", by_trackers), ("norfair", by_norfair)):
        got = scores(exact, track(rounded, rate, frames), frames)
        lines.append(f"{name},{peer},{got.mota:.6f},{got.idf1:.6f},{int(got.num_switches)}")
    # A score to check the scores by: the truth with the detector's boxes, numbered anew every 40 frames.
    cut = [(f, p + 1000 * (f // 40), *(v + 2 for v in box)) for f, p, *box in exact if (f + p) % 7]
    got = scores(exact, cut, frames)
    lines.append(f"{name},cut,{got.mota:.6f},{got.idf1:.6f},{int(got.num_switches)}")
(here / "scores.csv").write_text("\n".join(lines) + "\n")
print("\n".join(lines))
