//! What a camera looks at, and what is worth telling: zones, lines and rules.

use mask_track::{Crossing, Line, Zone};
use serde::Deserialize;

use crate::StreamError;

/// Zones, lines and rules, as in a TOML file with the tables `[[zone]]`, `[[line]]` and `[[rule]]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scene {
    /// Parts of the picture.
    #[serde(rename = "zone")]
    pub zones: Vec<Zone>,
    /// Lines that people cross.
    #[serde(rename = "line")]
    pub lines: Vec<Line>,
    /// What makes an event.
    #[serde(rename = "rule")]
    pub rules: Vec<Rule>,
}

/// What makes an event, and how often.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Rule {
    /// What it is called.
    pub name: String,
    /// When.
    #[serde(flatten)]
    pub when: Condition,
    /// Seconds after an event in which it makes no other.
    #[serde(default = "ten_seconds")]
    pub cooldown: f64,
}

fn ten_seconds() -> f64 {
    10.0
}

/// What a rule waits for. In a file, `when` names it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "when", rename_all = "snake_case", deny_unknown_fields)]
pub enum Condition {
    /// Somebody has had a class for some time.
    Class {
        /// The class.
        class: String,
        /// For so many seconds.
        #[serde(default)]
        seconds: f64,
        /// Only in this zone.
        zone: Option<String>,
    },
    /// Of all who were seen over some time, too many had a class.
    Share {
        /// The class.
        class: String,
        /// More than this part of them, in [0, 1].
        above: f64,
        /// Over so many seconds.
        seconds: f64,
        /// Only in this zone.
        zone: Option<String>,
    },
    /// More people are there than there should be.
    People {
        /// More than so many.
        above: u64,
        /// For so many seconds.
        #[serde(default)]
        seconds: f64,
        /// Only in this zone.
        zone: Option<String>,
    },
    /// Somebody crossed a line.
    Crossed {
        /// The line.
        line: String,
        /// Only in this direction.
        direction: Option<Crossing>,
    },
    /// The source was lost.
    Lost,
    /// The source is back.
    Back,
    /// The picture has not moved for too long.
    Frozen,
}

impl Scene {
    /// Checks that all that is named is there; `classes` are the classifier's.
    ///
    /// # Errors
    /// If a name is missing, given twice, or a number is out of range.
    pub fn check(&self, classes: &[String]) -> Result<(), StreamError> {
        let fails = |text: String| Err(StreamError::Source(text));
        let zones: Vec<&str> = self.zones.iter().map(|zone| &*zone.name).collect();
        let lines: Vec<&str> = self.lines.iter().map(|line| &*line.name).collect();
        let rules: Vec<&str> = self.rules.iter().map(|rule| &*rule.name).collect();
        for (kind, names) in [("zone", &zones), ("line", &lines), ("rule", &rules)] {
            for (at, name) in names.iter().enumerate() {
                if names[..at].contains(name) {
                    return fails(format!("two {kind}s are called `{name}`"));
                }
            }
        }
        if let Some(zone) = self.zones.iter().find(|zone| zone.polygon.len() < 3) {
            return fails(format!("the zone `{}` has fewer than three corners", zone.name));
        }
        if let Some(line) = self.lines.iter().find(|line| line.from == line.to) {
            return fails(format!("the line `{}` has no length", line.name));
        }
        for rule in &self.rules {
            let (mut class, mut zone, mut line) = (None, None, None);
            let mut numbers = vec![rule.cooldown];
            match &rule.when {
                Condition::Class { class: of, seconds, zone: inside } => {
                    (class, zone) = (Some(of), inside.as_ref());
                    numbers.push(*seconds);
                }
                Condition::Share { class: of, above, seconds, zone: inside } => {
                    (class, zone) = (Some(of), inside.as_ref());
                    numbers.extend([*seconds, *above, 1.0 - above]);
                }
                Condition::People { seconds, zone: inside, .. } => {
                    zone = inside.as_ref();
                    numbers.push(*seconds);
                }
                Condition::Crossed { line: of, .. } => line = Some(of),
                Condition::Lost | Condition::Back | Condition::Frozen => {}
            }
            let name = &rule.name;
            if let Some(class) = class.filter(|class| !classes.contains(class)) {
                let classes = classes.join(", ");
                return fails(format!("rule `{name}`: there is no class `{class}`, but {classes}"));
            }
            for (kind, wanted, names) in [("zone", zone, &zones), ("line", line, &lines)] {
                if let Some(wanted) = wanted.filter(|wanted| !names.contains(&wanted.as_str())) {
                    return fails(format!("rule `{name}`: there is no {kind} `{wanted}`"));
                }
            }
            if numbers.iter().any(|number| !(0.0..=1e9).contains(number)) {
                return fails(format!("rule `{name}`: a number is out of range"));
            }
        }
        Ok(())
    }
}
