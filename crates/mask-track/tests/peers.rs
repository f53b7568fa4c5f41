//! Against the trackers of others, on the same boxes: see `goldens/record.py`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod mot;

use std::{fs, path::Path};

use geometry::BoundingBox;
use mask_track::{Observation, Track, Tracker, TrackerConfig};
use mot::{Boxed, Scores, scores};

/// Sequences and their frames a second.
const SEQUENCES: [(&str, f64); 5] = [
    ("few", 25.0),
    ("crowd", 25.0),
    ("slow_camera", 8.0),
    ("turning_away", 25.0),
    ("photographs", 25.0),
];

fn golden(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// What a peer scored.
fn recorded(sequence: &str, peer: &str) -> Scores {
    let scores = golden("scores.csv");
    let line = scores.lines().find_map(|line| line.strip_prefix(&format!("{sequence},{peer},")));
    let values: Vec<f64> = line.unwrap().split(',').map(|value| value.parse().unwrap()).collect();
    Scores { mota: values[0], idf1: values[1], switches: values[2] as usize }
}

/// Who is where, and the boxes of each frame.
fn sequence(name: &str) -> (Vec<Boxed>, Vec<Vec<Observation>>) {
    let (mut truth, mut found) = (Vec::new(), Vec::<Vec<Observation>>::new());
    for line in golden(&format!("{name}.csv")).lines() {
        let (kind, values) = line.split_once(',').unwrap();
        let values: Vec<f32> = values.split(',').map(|value| value.parse().unwrap()).collect();
        let [frame, second, x_min, y_min, x_max, y_max] = values[..] else { panic!("{line}") };
        let (frame, bbox) = (frame as usize, BoundingBox { x_min, y_min, x_max, y_max });
        if kind == "truth" {
            truth.push(Boxed { frame, id: second as u64, bbox });
        } else {
            found.resize(found.len().max(frame + 1), Vec::new());
            found[frame].push(Observation { bbox, confidence: second });
        }
    }
    (truth, found)
}

fn track(found: &[Vec<Observation>], rate: f64) -> Vec<Boxed> {
    let mut tracker = Tracker::new(TrackerConfig::default());
    let mut tracks = Vec::new();
    for (frame, found) in found.iter().enumerate() {
        let update = tracker.update(frame as f64 / rate, found);
        tracks.extend(update.tracks.into_iter().map(|track| Boxed {
            frame,
            id: track.id,
            bbox: track.bbox,
        }));
    }
    tracks
}

/// The scores are motmetrics's.
#[test]
fn scores_are_counted_as_elsewhere() {
    for (name, _) in SEQUENCES {
        let (truth, _) = sequence(name);
        // What `record.py` calls the cut truth.
        let cut: Vec<Boxed> = truth
            .iter()
            .filter(|boxed| !(boxed.frame as u64 + boxed.id).is_multiple_of(7))
            .map(|boxed| {
                let BoundingBox { x_min, y_min, x_max, y_max } = boxed.bbox;
                let bbox = BoundingBox {
                    x_min: x_min + 2.0,
                    y_min: y_min + 2.0,
                    x_max: x_max + 2.0,
                    y_max: y_max + 2.0,
                };
                Boxed { frame: boxed.frame, id: boxed.id + 1000 * (boxed.frame as u64 / 40), bbox }
            })
            .collect();
        let (ours, theirs) = (scores(&truth, &cut), recorded(name, "cut"));
        assert!((ours.mota - theirs.mota).abs() < 1e-5, "{name}: {ours:?} {theirs:?}");
        assert!((ours.idf1 - theirs.idf1).abs() < 1e-5, "{name}: {ours:?} {theirs:?}");
        assert_eq!(ours.switches, theirs.switches, "{name}");
    }
}

#[test]
fn numbers_are_given_once_whatever_the_order_of_the_boxes() {
    let (_, found) = sequence("crowd");
    let mut turned = found.clone();
    turned.iter_mut().for_each(|found| found.reverse());
    let [ours, theirs] = [found, turned].map(|found| track(&found, 25.0));
    assert_eq!(ours.len(), theirs.len());
    for (a, b) in ours.iter().zip(&theirs) {
        // Numbers are given in the order of the boxes, so only where the boxes are is compared.
        let same = theirs.iter().filter(|b| b.frame == a.frame).any(|b| a.bbox == b.bbox);
        assert!(same && a.frame == b.frame, "{a:?}");
    }
    let mut tracker = Tracker::new(TrackerConfig::default());
    let at = |x: f32| Observation {
        bbox: BoundingBox { x_min: x, y_min: 0.0, x_max: x + 30.0, y_max: 40.0 },
        confidence: 0.9,
    };
    assert_eq!(tracker.update(0.0, &[at(0.0)]).tracks[0].id, 1);
    // Nobody looked: it goes on where it stood.
    let predicted = tracker.predict(0.04).tracks[0];
    assert!(predicted.observation.is_none() && predicted.bbox.iou(&at(0.0).bbox) > 0.99);
    // One box alone is nobody yet.
    assert_eq!(tracker.update(0.08, &[at(0.0), at(300.0)]).tracks.len(), 1);
    let second = tracker.update(0.12, &[at(0.0), at(300.0)]).tracks[1];
    assert_eq!((second.id, second.since), (2, 0.08));
    // The first goes, and is somebody else when it comes back long after.
    let gone = tracker.update(9.0, &[at(300.0)]);
    assert_eq!(
        gone.ended.iter().map(|ended| (ended.id, ended.seen)).collect::<Vec<_>>(),
        [(1, 0.12)]
    );
    tracker.update(9.04, &[at(0.0)]);
    assert_eq!(tracker.update(9.08, &[at(0.0)]).tracks[0].id, 3);
    assert_eq!(tracker.finish().iter().map(|ended| ended.id).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn tracks_are_at_least_as_good_as_those_of_peers() {
    for (name, rate) in SEQUENCES {
        let (truth, found) = sequence(name);
        let ours = scores(&truth, &track(&found, rate));
        for peer in ["trackers", "norfair"] {
            let theirs = recorded(name, peer);
            // A thousandth is one box of a track.
            assert!(ours.idf1 >= theirs.idf1 - 1e-3, "{name}: {ours:?}, {peer} {theirs:?}");
            assert!(ours.mota >= theirs.mota - 1e-3, "{name}: {ours:?}, {peer} {theirs:?}");
        }
    }
}

#[test]
fn people_stay_who_they_are_in_pictures_of_another_size() {
    let (_, found) = sequence("crowd");
    let half = found.len() / 2;
    for (horizontal, vertical) in [(2.0, 2.0), (2.0, 1.5)] {
        let config = TrackerConfig::default();
        let (mut plain, mut scaled) = (Tracker::new(config), Tracker::new(config));
        for (frame, found) in found.iter().enumerate() {
            let time = frame as f64 / 25.0;
            let expected = plain.update(time, found).tracks;
            let (h, v) = if frame < half { (1.0, 1.0) } else { (horizontal, vertical) };
            let resized = |bbox: &BoundingBox| BoundingBox {
                x_min: bbox.x_min * h as f32,
                y_min: bbox.y_min * v as f32,
                x_max: bbox.x_max * h as f32,
                y_max: bbox.y_max * v as f32,
            };
            if frame == half {
                scaled.rescale(h, v);
            }
            let larger: Vec<Observation> = found
                .iter()
                .map(|found| Observation { bbox: resized(&found.bbox), ..*found })
                .collect();
            let tracks = scaled.update(time, &larger).tracks;
            let ids = |tracks: &[Track]| tracks.iter().map(|track| track.id).collect::<Vec<_>>();
            assert_eq!(ids(&tracks), ids(&expected), "frame {frame}");
            // Doubling is exact in floating point; where the axes differ, so does the noise.
            if h == v {
                let boxes = tracks.iter().map(|track| track.bbox);
                assert!(
                    boxes.eq(expected.iter().map(|track| resized(&track.bbox))),
                    "frame {frame}"
                );
            }
        }
    }
}
