//! Boxes into tracks, after ByteTrack (Zhang et al., 2022): first the boxes that the detector is sure of,
//! then the others, which may continue a track but not begin one. Other than there, these may also continue
//! a track that is lost or new: heads turn away and come back slowly.

use geometry::BoundingBox;

use crate::{assignment::assign, kalman::MovingBox};

/// How boxes become tracks. The confidences of [`Default`] are those of the project's face network, its
/// distances and patience those that followed people best in sequences like `tests/goldens`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackerConfig {
    /// Confidence from which a box is a sure one, in [0, 1].
    pub sure: f32,
    /// Confidence from which a box may continue a track, in [0, 1].
    pub doubtful: f32,
    /// Confidence from which a box begins a track, in [0, 1].
    pub begins: f32,
    /// Largest distance of a sure box from its track: 1 less IoU times confidence.
    pub sure_distance: f64,
    /// Largest distance of a doubtful box: 1 less IoU.
    pub doubtful_distance: f64,
    /// Largest distance of the second box of a track that has but one.
    pub second_distance: f64,
    /// Seconds after which a track that found no box ends.
    pub patience: f64,
}

impl Default for TrackerConfig {
    fn default() -> Self {
        Self {
            sure: 0.65,
            doubtful: 0.2,
            begins: 0.65,
            sure_distance: 0.95,
            doubtful_distance: 0.9,
            second_distance: 0.9,
            patience: 2.0,
        }
    }
}

impl TrackerConfig {
    /// For faces that are reported from a confidence on, in [0, 1].
    pub fn from_confidence(min_confidence: f32) -> Self {
        let default = Self::default();
        let doubtful = default.doubtful.min(min_confidence);
        Self { sure: min_confidence, begins: min_confidence, doubtful, ..default }
    }
}

/// A box that a detector found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// Where.
    pub bbox: BoundingBox,
    /// How sure the detector is, in [0, 1].
    pub confidence: f32,
}

/// A track as it is in a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Track {
    /// Its number, from 1 on, never given twice.
    pub id: u64,
    /// Where it is: the filter's estimate.
    pub bbox: BoundingBox,
    /// The detector's confidence in its last box.
    pub confidence: f32,
    /// Time of its first box, in seconds.
    pub since: f64,
    /// Time of its last box, in seconds.
    pub seen: f64,
    /// The box of this frame among the observations; `None` where it was only predicted.
    pub observation: Option<usize>,
}

/// A track that is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ended {
    /// Its number.
    pub id: u64,
    /// Time of its first box, in seconds.
    pub since: f64,
    /// Time of its last box, in seconds.
    pub seen: f64,
}

/// What a frame changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrackerUpdate {
    /// The tracks that are in the frame, by their numbers.
    pub tracks: Vec<Track>,
    /// The tracks that ended.
    pub ended: Vec<Ended>,
}

/// Whether a track has a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It has one box so far.
    New,
    Tracked,
    Lost,
}

#[derive(Debug, Clone)]
struct Followed {
    id: u64,
    state: State,
    moving: MovingBox,
    confidence: f32,
    since: f64,
    seen: f64,
    observation: Option<usize>,
}

impl Followed {
    fn take(&mut self, time: f64, at: usize, found: &Observation) {
        self.moving.correct(&found.bbox);
        (self.state, self.seen, self.confidence) = (State::Tracked, time, found.confidence);
        self.observation = Some(at);
    }

    /// Its end, if anybody heard of it.
    fn ended(&self) -> Option<Ended> {
        let Self { id, since, seen, .. } = *self;
        (id > 0).then_some(Ended { id, since, seen })
    }

    fn track(&self) -> Track {
        Track {
            id: self.id,
            bbox: self.moving.bbox(),
            confidence: self.confidence,
            since: self.since,
            seen: self.seen,
            observation: self.observation,
        }
    }
}

/// Follows boxes from frame to frame.
#[derive(Debug, Clone)]
pub struct Tracker {
    config: TrackerConfig,
    followed: Vec<Followed>,
    next_id: u64,
    time: Option<f64>,
}

impl Tracker {
    /// Nothing yet.
    pub fn new(config: TrackerConfig) -> Self {
        Self { config, followed: Vec::new(), next_id: 1, time: None }
    }

    /// Takes the boxes of a frame at `time`, in seconds, which must not go back.
    pub fn update(&mut self, time: f64, observations: &[Observation]) -> TrackerUpdate {
        let is_first = self.time.is_none();
        self.advance(time);
        let config = self.config;
        let chosen = |from: f32, to: f32| -> Vec<usize> {
            let confidences = observations.iter().map(|found| found.confidence).enumerate();
            confidences.filter(|(_, c)| (from..to).contains(c)).map(|(at, _)| at).collect()
        };
        let mut sure = chosen(config.sure, f32::INFINITY);
        let mut doubtful = chosen(config.doubtful, config.sure);
        let of_state = |followed: &[Followed], state: &dyn Fn(&Followed) -> bool| -> Vec<usize> {
            followed.iter().enumerate().filter(|(_, f)| state(f)).map(|(at, _)| at).collect()
        };

        let known = of_state(&self.followed, &|followed| followed.state != State::New);
        self.associate(time, &known, &mut sure, observations, config.sure_distance, true);
        let missed = of_state(&self.followed, &|followed| {
            followed.state != State::New && followed.observation.is_none()
        });
        self.associate(time, &missed, &mut doubtful, observations, config.doubtful_distance, false);
        let new = of_state(&self.followed, &|followed| followed.state == State::New);
        self.associate(time, &new, &mut sure, observations, config.second_distance, true);
        let new = of_state(&self.followed, &|followed| followed.state == State::New);
        self.associate(time, &new, &mut doubtful, observations, config.doubtful_distance, false);

        // One box alone may be an error of the detector.
        self.followed.retain(|followed| followed.state != State::New);
        for followed in &mut self.followed {
            if followed.observation.is_none() {
                followed.state = State::Lost;
            }
        }
        for at in sure {
            let found = &observations[at];
            if found.confidence >= config.begins {
                // In the first frame all are old acquaintances.
                let state = if is_first { State::Tracked } else { State::New };
                self.followed.push(Followed {
                    id: 0,
                    state,
                    moving: MovingBox::new(&found.bbox),
                    confidence: found.confidence,
                    since: time,
                    seen: time,
                    observation: Some(at),
                });
            }
        }
        let mut ended = self.drop_doubles();
        self.name();
        ended.extend(self.end(time));
        let tracks = self.shown(|followed| followed.observation.is_some());
        TrackerUpdate { tracks, ended }
    }

    /// Where the tracks are at `time`, in seconds, in a frame in which nobody looked.
    pub fn predict(&mut self, time: f64) -> TrackerUpdate {
        self.advance(time);
        let ended = self.end(time);
        TrackerUpdate { tracks: self.shown(|followed| followed.state == State::Tracked), ended }
    }

    /// Goes on in pictures that are wider and higher than the last one by these factors, both above 0: a camera
    /// may change its resolution.
    pub fn rescale(&mut self, horizontal: f64, vertical: f64) {
        for followed in &mut self.followed {
            followed.moving.scale(horizontal, vertical);
        }
    }

    /// Where everything is that is followed: also tracks that are lost, as predicted, or have but one box.
    pub fn boxes(&self) -> impl Iterator<Item = BoundingBox> + '_ {
        self.followed.iter().map(|followed| followed.moving.bbox())
    }

    /// Ends all tracks, as at the end of a video.
    pub fn finish(&mut self) -> Vec<Ended> {
        let mut ended = Vec::new();
        for followed in self.followed.drain(..) {
            ended.extend(followed.ended());
        }
        ended
    }

    fn advance(&mut self, time: f64) {
        let passed = self.time.map_or(0.0, |last| (time - last).max(0.0));
        self.time = Some(time);
        for followed in &mut self.followed {
            followed.moving.predict(passed, followed.state != State::Tracked);
            followed.observation = None;
        }
    }

    /// Gives tracks their boxes, which are taken out of `boxes`.
    fn associate(
        &mut self,
        time: f64,
        tracks: &[usize],
        boxes: &mut Vec<usize>,
        observations: &[Observation],
        limit: f64,
        by_confidence: bool,
    ) {
        let predicted: Vec<BoundingBox> =
            tracks.iter().map(|at| self.followed[*at].moving.bbox()).collect();
        let pairs = assign(tracks.len(), boxes.len(), limit, |track, found| {
            let found = &observations[boxes[found]];
            let iou = predicted[track].iou(&found.bbox);
            f64::from(1.0 - if by_confidence { iou * found.confidence } else { iou })
        });
        let mut left = vec![true; boxes.len()];
        for (track, found) in pairs {
            left[found] = false;
            let at = boxes[found];
            self.followed[tracks[track]].take(time, at, &observations[at]);
        }
        let mut left = left.into_iter();
        boxes.retain(|_| left.next().unwrap_or(true));
    }

    /// Of a lost track and one that is where it would be, the shorter one is dropped.
    fn drop_doubles(&mut self) -> Vec<Ended> {
        const SAME_IOU: f32 = 0.85;
        let mut doubles = Vec::new();
        for (i, lost) in self.followed.iter().enumerate() {
            for (j, other) in self.followed.iter().enumerate() {
                let is_pair = lost.state == State::Lost && other.state != State::Lost;
                if is_pair && lost.moving.bbox().iou(&other.moving.bbox()) > SAME_IOU {
                    let lasted = |followed: &Followed| followed.seen - followed.since;
                    doubles.push(if lasted(other) > lasted(lost) { i } else { j });
                }
            }
        }
        let (mut at, mut ended) = (0, Vec::new());
        self.followed.retain(|followed| {
            let double = doubles.contains(&at);
            at += 1;
            ended.extend(followed.ended().filter(|_| double));
            !double
        });
        ended
    }

    /// Numbers the tracks that have proved to be some.
    fn name(&mut self) {
        for followed in &mut self.followed {
            if followed.id == 0 && followed.state == State::Tracked {
                followed.id = self.next_id;
                self.next_id += 1;
            }
        }
    }

    fn end(&mut self, time: f64) -> Vec<Ended> {
        let patience = self.config.patience;
        let mut ended = Vec::new();
        self.followed.retain(|followed| {
            let over = followed.state == State::Lost && time - followed.seen > patience;
            ended.extend(followed.ended().filter(|_| over));
            !over
        });
        ended
    }

    fn shown(&self, counts: impl Fn(&Followed) -> bool) -> Vec<Track> {
        let shown = self.followed.iter().filter(|followed| followed.id > 0 && counts(followed));
        let mut tracks: Vec<Track> = shown.map(Followed::track).collect();
        tracks.sort_by_key(|track| track.id);
        tracks
    }
}
