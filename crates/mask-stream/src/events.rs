//! From what is seen to what is told.

use std::collections::{BTreeMap, VecDeque};

use detection_schema::EventRecord;
use geometry::ImageSize;
use mask_detector::FaceDetection;
use mask_track::{Crossing, LineCounter, Zone};

use crate::{Condition, Rule, Scene, StreamError, Visit};

/// Watches people by a scene's rules.
#[derive(Debug)]
pub struct Observer {
    source: String,
    zones: Vec<Zone>,
    lines: Vec<(LineCounter, Crossings)>,
    rules: Vec<Watched>,
}

/// How often a line was crossed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Crossings {
    /// From the left to the right of who looks along the line.
    pub inwards: u64,
    /// From the right to the left.
    pub outwards: u64,
}

/// A rule with what it remembers.
#[derive(Debug)]
struct Watched {
    rule: Rule,
    /// Time of its last event.
    told: Option<f64>,
    /// Since when each person meets the condition; `None` where that was told.
    since: BTreeMap<u64, Option<f64>>,
    /// Since when all of them do; whether that was told.
    together: Option<(f64, bool)>,
    /// Time, people of the class, and people, of the last frames.
    window: VecDeque<(f64, u64, u64)>,
}

/// Somebody, as rules see them.
struct Person<'a> {
    track: u64,
    label: &'a str,
    /// The middle of the face, in parts of the picture.
    at: [f32; 2],
}

impl<'a> Person<'a> {
    /// Of a face that is in a track.
    fn of(face: &'a FaceDetection, size: ImageSize) -> Option<Self> {
        let bbox = face.bbox.to_unit(size);
        let at = [f32::midpoint(bbox.x_min, bbox.x_max), f32::midpoint(bbox.y_min, bbox.y_max)];
        Some(Self { track: face.track?, label: face.label(), at })
    }
}

impl Observer {
    /// Watches a source; `classes` are the classifier's.
    ///
    /// # Errors
    /// If the scene names what is not there.
    pub fn new(source: &str, scene: Scene, classes: &[String]) -> Result<Self, StreamError> {
        scene.check(classes)?;
        let lines = scene.lines.into_iter();
        let watched = |rule| Watched {
            rule,
            told: None,
            since: BTreeMap::new(),
            together: None,
            window: VecDeque::new(),
        };
        Ok(Self {
            source: source.to_owned(),
            zones: scene.zones,
            lines: lines.map(|line| (LineCounter::new(line), Crossings::default())).collect(),
            rules: scene.rules.into_iter().map(watched).collect(),
        })
    }

    /// The events of a frame: its time in seconds, its faces, and who left.
    pub fn see(
        &mut self,
        time: f64,
        size: ImageSize,
        faces: &[FaceDetection],
        ended: &[Visit],
    ) -> Vec<EventRecord> {
        let people: Vec<Person<'_>> =
            faces.iter().filter_map(|face| Person::of(face, size)).collect();
        let mut crossed = Vec::new();
        for (line, crossings) in &mut self.lines {
            for person in &people {
                if let Some(crossing) = line.see(person.track, person.at) {
                    match crossing {
                        Crossing::In => crossings.inwards += 1,
                        Crossing::Out => crossings.outwards += 1,
                    }
                    crossed.push((line.line().name.clone(), crossing, person));
                }
            }
            ended.iter().for_each(|visit| line.forget(visit.track));
        }
        let (zones, source) = (&self.zones, &self.source);
        let mut events = Vec::new();
        for watched in &mut self.rules {
            watched.see(time, &people, zones, &crossed, &mut |event| {
                events.push(EventRecord { source: source.clone(), ..event });
            });
        }
        events
    }

    /// The events of the source itself: that it is lost, back, or frozen.
    pub fn source_is(&mut self, state: &Condition, time: f64, message: &str) -> Vec<EventRecord> {
        let mut events = Vec::new();
        for watched in self.rules.iter_mut().filter(|watched| watched.rule.when == *state) {
            let source = self.source.clone();
            watched.tell(time, message.to_owned(), |event| {
                events.push(EventRecord { source, ..event });
            });
        }
        events
    }

    /// How often each line was crossed, by its name.
    pub fn crossings(&self) -> impl Iterator<Item = (&str, Crossings)> {
        self.lines.iter().map(|(line, crossings)| (&*line.line().name, *crossings))
    }
}

impl Watched {
    fn see(
        &mut self,
        time: f64,
        people: &[Person<'_>],
        zones: &[Zone],
        crossed: &[(String, Crossing, &Person<'_>)],
        report: &mut dyn FnMut(EventRecord),
    ) {
        let inside = |zone: &Option<String>| -> Vec<&Person<'_>> {
            let zone = zone.as_ref().and_then(|name| zones.iter().find(|zone| zone.name == *name));
            people
                .iter()
                .filter(|person| zone.is_none_or(|zone| zone.contains(person.at)))
                .collect()
        };
        match self.rule.when.clone() {
            Condition::Class { class, seconds, zone } => {
                let people = inside(&zone);
                let of_class: Vec<_> = people.iter().filter(|p| p.label == class).collect();
                self.since.retain(|track, _| of_class.iter().any(|person| person.track == *track));
                for person in of_class {
                    let since = *self.since.entry(person.track).or_insert(Some(time));
                    if since.is_some_and(|since| time - since >= seconds) {
                        let message = format!("{class} for {seconds} s");
                        let (track, label, zone) =
                            (Some(person.track), Some(class.clone()), zone.clone());
                        let told = self.tell(time, message, |event| {
                            report(EventRecord { track, label, zone, ..event });
                        });
                        // Who was passed over for the cooldown's sake is told of after it.
                        if told {
                            self.since.insert(person.track, None);
                        }
                    }
                }
            }
            Condition::Share { class, above, seconds, zone } => {
                let people = inside(&zone);
                let of_class = people.iter().filter(|person| person.label == class).count() as u64;
                self.window.push_back((time, of_class, people.len() as u64));
                let begins = time - seconds;
                // One from before the window shows that it is covered.
                while self.window.get(1).is_some_and(|(at, ..)| *at <= begins) {
                    self.window.pop_front();
                }
                let covered = self.window.front().is_some_and(|(at, ..)| *at <= begins);
                let (counted, all) = self
                    .window
                    .iter()
                    .fold((0, 0), |(counted, all), (_, c, a)| (counted + c, all + a));
                let share = counted as f64 / (all as f64).max(1.0);
                if covered && share > above {
                    let message = format!("{:.0} % {class} over {seconds} s", 100.0 * share);
                    let (label, count) = (Some(class), Some(people.len() as u64));
                    let told = self.tell(time, message, |event| {
                        report(EventRecord {
                            label,
                            zone,
                            people: count,
                            share: Some(share),
                            ..event
                        });
                    });
                    if told {
                        self.window.clear();
                    }
                }
            }
            Condition::People { above, seconds, zone } => {
                let count = inside(&zone).len() as u64;
                if count <= above {
                    self.together = None;
                    return;
                }
                let (since, told) = *self.together.get_or_insert((time, false));
                if !told && time - since >= seconds {
                    let message = format!("{count} people, more than {above}");
                    let told = self.tell(time, message, |event| {
                        report(EventRecord { zone, people: Some(count), ..event });
                    });
                    self.together = Some((since, told));
                }
            }
            Condition::Crossed { line, direction } => {
                for (name, crossing, person) in crossed {
                    if *name != line || direction.is_some_and(|wanted| wanted != *crossing) {
                        continue;
                    }
                    let way = if *crossing == Crossing::In { "in" } else { "out" };
                    let message = format!("{line} crossed {way} by {}", person.label);
                    self.tell(time, message, |event| {
                        report(EventRecord {
                            track: Some(person.track),
                            label: Some(person.label.to_owned()),
                            line: Some(line.clone()),
                            direction: Some(way.to_owned()),
                            ..event
                        });
                    });
                }
            }
            Condition::Lost | Condition::Back | Condition::Frozen => {}
        }
    }

    /// Makes an event, unless the last one was a moment ago; whether it did.
    fn tell(&mut self, time: f64, message: String, report: impl FnOnce(EventRecord)) -> bool {
        if self.told.is_some_and(|told| time - told < self.rule.cooldown) {
            return false;
        }
        self.told = Some(time);
        report(EventRecord {
            rule: self.rule.name.clone(),
            time,
            message,
            ..EventRecord::default()
        });
        true
    }
}
