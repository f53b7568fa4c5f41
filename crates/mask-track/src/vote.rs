//! A track's label: what the classifier said over some seconds, not what it said last.

/// How a track's label follows the classifier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VoteConfig {
    /// Seconds after which what was said counts half.
    pub half_life: f64,
    /// By how much another class's share of the votes must exceed that of the label before the label
    /// changes, in [0, 1].
    pub margin: f32,
    /// The label's share of the votes from which the track needs no further look for some time.
    pub settled: f32,
    /// Votes before which a track is not settled.
    pub settled_votes: usize,
}

impl Default for VoteConfig {
    fn default() -> Self {
        Self { half_life: 1.0, margin: 0.2, settled: 0.9, settled_votes: 3 }
    }
}

/// The votes on a track's label.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelVote {
    config: VoteConfig,
    /// The weight of each class.
    weights: Vec<f32>,
    label: Option<usize>,
    votes: usize,
    time: f64,
}

impl LabelVote {
    /// No vote yet on so many classes.
    pub fn new(config: VoteConfig, classes: usize) -> Self {
        Self { config, weights: vec![0.0; classes], label: None, votes: 0, time: 0.0 }
    }

    /// Adds a vote at `time`, in seconds: the classifier's probabilities, one per class, which sum to one.
    /// Returns the label if it changed; a first label is a change.
    pub fn add(&mut self, time: f64, probabilities: &[f32]) -> Option<usize> {
        let passed = if self.votes == 0 { 0.0 } else { (time - self.time).max(0.0) };
        let kept = 0.5f64.powf(passed / self.config.half_life) as f32;
        for (weight, probability) in self.weights.iter_mut().zip(probabilities) {
            *weight = *weight * kept + probability;
        }
        (self.time, self.votes) = (time, self.votes + 1);
        let shares = self.shares();
        let leader = (0..shares.len()).max_by(|a, b| shares[*a].total_cmp(&shares[*b]))?;
        let changes = match self.label {
            None => true,
            Some(label) => shares[leader] > shares[label] + self.config.margin,
        };
        if changes {
            self.label = Some(leader);
        }
        changes.then_some(leader)
    }

    /// The label, once there is a vote.
    pub fn label(&self) -> Option<usize> {
        self.label
    }

    /// The share of each class, in [0, 1]; they sum to one.
    pub fn shares(&self) -> Vec<f32> {
        let sum: f32 = self.weights.iter().sum();
        let share = |weight: &f32| if sum > 0.0 { weight / sum } else { 0.0 };
        self.weights.iter().map(share).collect()
    }

    /// Whether the votes agree so far that further ones would hardly change the label.
    pub fn is_settled(&self) -> bool {
        let share = self.label.map_or(0.0, |label| self.shares()[label]);
        self.votes >= self.config.settled_votes && share >= self.config.settled
    }

    /// Time of the last vote, in seconds.
    pub fn time(&self) -> f64 {
        self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_does_not_flicker() {
        let mut vote = LabelVote::new(VoteConfig::default(), 2);
        let mut changes = Vec::new();
        // Every third look errs.
        for frame in 0..60 {
            let right = if frame % 3 == 2 { 0.3 } else { 0.8 };
            changes.extend(vote.add(f64::from(frame) / 25.0, &[right, 1.0 - right]));
        }
        assert_eq!(changes, [0]);
        // The mask comes off.
        for frame in 60..120 {
            changes.extend(vote.add(f64::from(frame) / 25.0, &[0.1, 0.9]));
        }
        assert_eq!(changes, [0, 1]);
        assert!(vote.is_settled() || vote.shares()[1] > 0.8);
    }

    #[test]
    fn it_changes_within_a_second_or_two() {
        let mut vote = LabelVote::new(VoteConfig::default(), 2);
        for frame in 0..250 {
            vote.add(f64::from(frame) / 25.0, &[1.0, 0.0]);
        }
        assert!(vote.is_settled());
        let frames =
            (250..).take_while(|frame| vote.add(f64::from(*frame) / 25.0, &[0.0, 1.0]).is_none());
        let frames = frames.count();
        assert!((5..50).contains(&frames), "{frames}");
    }
}
