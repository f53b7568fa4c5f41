//! The people in the frames of a source.

use std::{collections::BTreeMap, ops::Deref, sync::Arc};

use geometry::{BoundingBox, ImageSize};
use mask_detector::{DetectError, Face, FaceDetection, ImageView, MaskDetector};
use mask_track::{
    Ended, LabelVote, Observation, Track, Tracker, TrackerConfig, TrackerUpdate, VoteConfig,
};

/// How people are followed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnalysisConfig {
    /// Faces are looked for in every so many-th frame, and predicted between. Default: 1.
    pub detect_every: u32,
    /// How faces become tracks. The detector's own threshold must not be above
    /// [`TrackerConfig::doubtful`].
    pub tracker: TrackerConfig,
    /// How a track gets its label.
    pub vote: VoteConfig,
    /// Seconds after which a track whose label is settled is classified again.
    pub refresh: f64,
}

impl Default for AnalysisConfig {
    fn default() -> Self {
        Self {
            detect_every: 1,
            tracker: TrackerConfig::default(),
            vote: VoteConfig::default(),
            refresh: 1.0,
        }
    }
}

/// Somebody, from the first to the last time seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Visit {
    /// The number of the track.
    pub track: u64,
    /// The class, by the last label.
    pub class: usize,
    /// First time seen, in seconds.
    pub since: f64,
    /// Last time seen, in seconds.
    pub seen: f64,
}

/// A track's votes, and when it was seen.
#[derive(Debug)]
struct Followed {
    vote: LabelVote,
    since: f64,
    seen: f64,
}

impl Followed {
    fn visit(&self, track: u64) -> Option<Visit> {
        let Self { vote, since, seen } = self;
        Some(Visit { track, class: vote.label()?, since: *since, seen: *seen })
    }
}

/// How many different people there were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct People {
    /// Of each class those who are gone, by the label that they had last.
    pub gone: Vec<u64>,
    /// Of each class those who are there.
    pub present: Vec<u64>,
}

impl People {
    /// Of each class all.
    pub fn all(&self) -> Vec<u64> {
        self.gone.iter().zip(&self.present).map(|(gone, present)| gone + present).collect()
    }
}

/// Finds, follows and counts the people of a source, frame by frame, with a detector that is borrowed or shared.
pub struct Analysis<D> {
    detector: D,
    config: AnalysisConfig,
    tracker: Tracker,
    followed: BTreeMap<u64, Followed>,
    gone: Vec<u64>,
    /// The boxes of the last frame, sure or not.
    found: Vec<BoundingBox>,
    ended: Vec<Visit>,
    /// Of the last frame.
    size: Option<ImageSize>,
    frames: u64,
    classified: u64,
}

impl<D: Deref<Target = MaskDetector>> Analysis<D> {
    /// Nobody yet.
    pub fn new(detector: D, config: AnalysisConfig) -> Self {
        let gone = vec![0; detector.classes().len()];
        Self {
            detector,
            config,
            tracker: Tracker::new(config.tracker),
            followed: BTreeMap::new(),
            gone,
            found: Vec::new(),
            ended: Vec::new(),
            size: None,
            frames: 0,
            classified: 0,
        }
    }

    /// The faces of the people who are followed, by the numbers of their tracks. `time` is in seconds and
    /// must not go back.
    ///
    /// # Errors
    /// If the networks fail.
    pub fn process<'a>(
        &mut self,
        image: impl Into<ImageView<'a>>,
        time: f64,
    ) -> Result<Vec<FaceDetection>, DetectError> {
        let image = image.into();
        self.follow_size(image.size());
        let looks = self.frames.is_multiple_of(u64::from(self.config.detect_every.max(1)));
        self.frames += 1;
        let (update, faces) = if looks {
            let faces = self.detector.find_faces(&[image])?;
            let faces = faces.into_iter().next().unwrap_or_default();
            let observations: Vec<Observation> = faces
                .iter()
                .map(|face| Observation { bbox: face.bbox, confidence: face.score })
                .collect();
            (self.tracker.update(time, &observations), faces)
        } else {
            (self.tracker.predict(time), Vec::new())
        };
        self.found = faces.iter().map(|face| face.bbox).collect();
        self.classify(&image, time, &update, &faces)?;
        self.forget(&update.ended);
        Ok(self.faces(&update.tracks, &faces, image.size()))
    }

    /// How many different people there were.
    pub fn people(&self) -> People {
        let mut present = vec![0; self.gone.len()];
        for label in self.followed.values().filter_map(|followed| followed.vote.label()) {
            present[label] += 1;
        }
        People { gone: self.gone.clone(), present }
    }

    /// Who left with the last frame.
    pub fn ended(&self) -> &[Visit] {
        &self.ended
    }

    /// Who is there, or was a moment ago.
    pub fn present(&self) -> Vec<Visit> {
        self.followed.iter().filter_map(|(track, followed)| followed.visit(*track)).collect()
    }

    /// Where a face may be in the last frame: every box that was found in it, sure or not, and where those are
    /// who were there a moment ago.
    pub fn regions(&self) -> Vec<BoundingBox> {
        self.found.iter().copied().chain(self.tracker.boxes()).collect()
    }

    /// How often the classifier looked at a face.
    pub fn classified(&self) -> u64 {
        self.classified
    }

    /// People stay who they are where a source changes its resolution.
    fn follow_size(&mut self, size: ImageSize) {
        if let Some(ImageSize { width, height }) =
            self.size.replace(size).filter(|last| *last != size)
        {
            let factor = |now: u32, before: u32| f64::from(now) / f64::from(before);
            self.tracker.rescale(factor(size.width, width), factor(size.height, height));
        }
    }

    /// Asks the classifier about tracks that are new, in doubt, or were not looked at for some time.
    fn classify(
        &mut self,
        image: &ImageView<'_>,
        time: f64,
        update: &TrackerUpdate,
        faces: &[Face],
    ) -> Result<(), DetectError> {
        for Track { id, since, seen, .. } in &update.tracks {
            if let Some(followed) = self.followed.get_mut(id) {
                (followed.since, followed.seen) = (*since, *seen);
            }
        }
        let asks = |track: &&Track| match self.followed.get(&track.id) {
            Some(Followed { vote, .. }) => {
                !vote.is_settled() || time - vote.time() >= self.config.refresh
            }
            None => true,
        };
        let asked: Vec<(&Track, Face)> = update
            .tracks
            .iter()
            .filter(asks)
            .filter_map(|track| Some((track, *faces.get(track.observation?)?)))
            .collect();
        if asked.is_empty() {
            return Ok(());
        }
        let wanted = vec![asked.iter().map(|(_, face)| *face).collect::<Vec<_>>()];
        let answers = self.detector.classify_faces(&[*image], &wanted)?;
        self.classified += asked.len() as u64;
        for ((track, _), face) in asked.iter().zip(answers.into_iter().flatten()) {
            let followed = self.followed.entry(track.id).or_insert_with(|| Followed {
                vote: LabelVote::new(self.config.vote, face.probabilities.len()),
                since: track.since,
                seen: track.seen,
            });
            followed.vote.add(time, &face.probabilities);
        }
        Ok(())
    }

    fn forget(&mut self, ended: &[Ended]) {
        self.ended.clear();
        for track in ended {
            let visit = self.followed.remove(&track.id).and_then(|gone| gone.visit(track.id));
            if let Some(visit) = visit {
                self.gone[visit.class] += 1;
                self.ended.push(visit);
            }
        }
    }

    fn faces(&self, tracks: &[Track], found: &[Face], size: ImageSize) -> Vec<FaceDetection> {
        let face = |track: &Track| {
            let vote = &self.followed.get(&track.id)?.vote;
            let bbox = match track.observation.and_then(|at| found.get(at)) {
                Some(face) => face.bbox,
                None => track.bbox.clamp(size),
            };
            // Somebody may leave the picture between two looks.
            let is_inside = bbox.width() >= 1.0 && bbox.height() >= 1.0;
            let classes = Arc::clone(self.detector.classes());
            let (label, shares) = (vote.label()?, vote.shares());
            let face = FaceDetection::new(bbox, track.confidence, label, shares, classes);
            is_inside.then(|| face.in_track(track.id))
        };
        tracks.iter().filter_map(face).collect()
    }
}
