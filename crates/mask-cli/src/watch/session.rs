//! What becomes of what a source brings: analysed, told, printed and drawn.

use std::{
    fmt::Write,
    io,
    ops::ControlFlow,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use detection_schema::{EventRecord, FrameRecord};
use image::RgbImage;
use mask_detector::{FaceDetection, MaskDetector};
use mask_server::{Camera, CameraCondition, CameraFrame};
use mask_stream::{
    Analysis, AnalysisConfig, Condition, Crossings, Database, Feed, FeedEvent, Frame, Observer,
    StreamError,
};

use super::{
    actions::Actions,
    args::StreamArgs,
    clips::Clips,
    event_folder::EventFolder,
    picture::Painter,
    plan::Plan,
    printers::FramePrinter,
    status::{Status, counts, present},
    streams::Streams,
    video::{Video, rate_of},
};

/// What lasts over all frames of a source.
pub(crate) struct Session<'a> {
    /// The source as it is shown.
    name: String,
    classes: &'a [String],
    analysis: Analysis<&'a MaskDetector>,
    observer: Observer,
    settings: &'a StreamArgs,
    actions: Actions,
    /// Who shows it, if somebody does.
    camera: Option<&'a Camera>,
    printer: Option<&'a Mutex<FramePrinter<io::Stdout>>>,
    video: Option<Video<'a>>,
    /// Whether it could not be written to its end.
    video_failed: bool,
    saved: Option<&'a EventFolder>,
    clips: Option<Clips>,
    painter: Painter,
    database: Option<Database>,
    /// Whether the database could not be written the last time.
    database_fails: bool,
    stall: Duration,
    status: &'a Status,
    /// Time of the last frame.
    time: f64,
    frames: u64,
    /// Whether the source is lost.
    lost: bool,
    started: Instant,
    /// The age of the oldest frame of a live source when it was done with.
    oldest: Option<Duration>,
}

/// How a source ended.
pub(crate) enum End {
    /// At its end, or by an error.
    Source(Result<(), StreamError>),
    /// Nobody takes the results.
    Output(io::Error),
}

impl<'a> Session<'a> {
    /// Prepares for a stream.
    ///
    /// # Errors
    /// If its scene, its database or a font cannot be used.
    pub(super) fn new(plan: &'a Plan, streams: &'a Streams<'a>) -> anyhow::Result<Self> {
        let Streams { records, detector, tracker, ffmpeg, saved, printer, cameras, status, .. } =
            streams;
        let Plan { source, name, settings } = plan;
        let classes: &[String] = detector.classes();
        let config = AnalysisConfig {
            detect_every: settings.detect_every,
            tracker: *tracker,
            ..AnalysisConfig::default()
        };
        let observer = Observer::new(name, plan.scene()?, classes);
        let observer = match &settings.scene {
            Some(file) => observer.with_context(|| file.display().to_string())?,
            None => observer?,
        };
        let actions = Actions::new(settings)?;
        let clips = match (saved, records.clips, ffmpeg) {
            (Some(folder), Some(seconds), Some(ffmpeg)) => {
                Some(Clips::new(folder, seconds, ffmpeg, actions.notes()))
            }
            _ => None,
        };
        let database = records.db.as_deref();
        let database =
            database.map(|file| Database::open(file, name, classes, records.db_interval));
        Ok(Self {
            name: name.clone(),
            classes,
            analysis: Analysis::new(detector, config),
            observer,
            settings,
            actions,
            camera: cameras.and_then(|cameras| cameras.of(name)).map(AsRef::as_ref),
            printer: printer.as_ref(),
            video: Video::new(settings, source, ffmpeg.as_ref()),
            video_failed: false,
            saved: saved.as_ref(),
            clips,
            painter: Painter::new(classes, settings.blur, status)?,
            database: database.transpose().context("--db")?,
            database_fails: false,
            stall: Duration::from_secs_f64(settings.stall),
            status,
            time: 0.0,
            frames: 0,
            lost: false,
            started: Instant::now(),
            oldest: None,
        })
    }

    /// Takes what a source brings.
    ///
    /// # Errors
    /// If the networks fail.
    pub(super) fn take(
        &mut self,
        event: FeedEvent,
        feed: &Feed,
    ) -> anyhow::Result<ControlFlow<End>> {
        match event {
            FeedEvent::Frame(frame) => return self.frame(frame, feed),
            FeedEvent::Lost { reason, retry } => {
                self.report(&format!("{reason}; trying again in {} s", retry.as_secs()));
                if let Some(camera) = self.camera {
                    camera.is(CameraCondition::Lost, Some(reason.clone()));
                }
                // However often it is looked for, it is lost once.
                if !std::mem::replace(&mut self.lost, true) {
                    self.source_is(&Condition::Lost, &reason, feed);
                }
            }
            FeedEvent::Back => {
                self.lost = false;
                self.report("back");
                self.source_is(&Condition::Back, "back", feed);
            }
            FeedEvent::Frozen => {
                let seconds = self.stall.as_secs_f64();
                let line = format!("the picture has been the same for {seconds} s");
                self.report(&line);
                self.source_is(&Condition::Frozen, &line, feed);
            }
            FeedEvent::Moving => self.report("the picture moves again"),
            FeedEvent::End(result) => return Ok(ControlFlow::Break(End::Source(result))),
        }
        Ok(ControlFlow::Continue(()))
    }

    fn frame(&mut self, frame: Frame, feed: &Feed) -> anyhow::Result<ControlFlow<End>> {
        self.time = frame.time;
        let faces = self.analysis.process(&frame.image, frame.time)?;
        let size = frame.image.dimensions().into();
        let mut events = self.observer.see(frame.time, size, &faces, self.analysis.ended());
        let counted = self.analysis.people();
        let people = present(self.classes, &counted);
        let wanted = self.camera.is_some_and(Camera::wants_picture);
        let shown = wanted
            || self.video.is_some()
            || self.clips.is_some()
            || self.saved.is_some() && !events.is_empty();
        let Frame { index, time, image, arrived } = frame;
        let (width, height) = image.dimensions();
        let picture = shown.then(|| {
            let (regions, clock) = (self.analysis.regions(), (!feed.is_live()).then_some(time));
            self.painter.paint(image, &faces, regions, clock, &people)
        });
        if let Some(picture) = &picture {
            if let Some(clips) = &mut self.clips {
                clips.frame(picture.clone(), time, feed.is_live());
            }
            if let Some(camera) = self.camera.filter(|_| wanted) {
                camera.picture(picture);
            }
            self.save(picture, &mut events);
        }
        self.clip(&mut events, feed);
        self.tell(&events);
        if let Some(database) = &mut self.database {
            let (present, left) = (self.analysis.present(), self.analysis.ended());
            let written = database.frame(time, &present, left, &events);
            self.written(written);
        }
        let record = FrameRecord {
            source: self.name.clone(),
            frame: index,
            time,
            width,
            height,
            faces: faces.iter().map(FaceDetection::to_record).collect(),
            events,
        };
        if let Some(printer) = self.printer {
            let printed = printer.lock().unwrap_or_else(PoisonError::into_inner).print(&record);
            if let Err(error) = printed {
                return Ok(ControlFlow::Break(End::Output(error)));
            }
        }
        let age = arrived.elapsed();
        if let (Some(video), Some(picture)) = (&mut self.video, picture)
            && let Err(error) = video.write(picture, time, feed.rate())
        {
            // A disk may be full; people are followed and counted all the same.
            self.report(&format!("{error:#}; no video is written any more"));
            (self.video, self.video_failed) = (None, true);
        }
        let duration = feed.duration().filter(|_| !feed.is_live());
        let part = duration.map(|duration| (self.time / duration).clamp(0.0, 1.0));
        let age = feed.is_live().then_some(age);
        if let Some(camera) = self.camera {
            let (present, people) = (&*counted.present, &*counted.all());
            camera.frame(CameraFrame { present, people, dropped: feed.dropped(), age });
        }
        self.frames += 1;
        self.oldest = self.oldest.max(age);
        self.status.frame(&self.name, part, feed.dropped(), age, || people);
        Ok(ControlFlow::Continue(()))
    }

    /// Saves the picture of events, where that is asked for.
    fn save(&self, picture: &RgbImage, events: &mut [EventRecord]) {
        let Some(folder) = self.saved else { return };
        for event in events {
            match folder.save(picture, &self.name, &event.rule) {
                Ok(path) => event.picture = Some(path.to_string_lossy().into_owned()),
                Err(error) => self.report(&format!("{error:#}")),
            }
        }
    }

    /// Begins a clip of events, where that is asked for, or lengthens the one that there is.
    fn clip(&mut self, events: &mut [EventRecord], feed: &Feed) {
        let Some(clips) = &mut self.clips else { return };
        let rate = rate_of(self.settings, feed.rate());
        for event in events {
            let path = clips.event(&self.name, &event.rule, event.time, rate);
            event.clip = Some(path.to_string_lossy().into_owned());
        }
    }

    fn source_is(&mut self, state: &Condition, message: &str, feed: &Feed) {
        let mut events = self.observer.source_is(state, self.time, message);
        self.clip(&mut events, feed);
        self.tell(&events);
        if let Some(database) = &mut self.database {
            let written = database.events(&events);
            self.written(written);
        }
    }

    /// A disk may be full for some time: that is a line, and another when it is over.
    fn written(&mut self, result: Result<bool, StreamError>) {
        match result {
            Err(error) if !self.database_fails => {
                self.report(&format!("{error}; it is kept for the next time"));
                self.database_fails = true;
            }
            Ok(true) if self.database_fails => {
                self.report("the database is written again");
                self.database_fails = false;
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Tells of events, and of what went wrong with earlier ones.
    fn tell(&self, events: &[EventRecord]) {
        for event in events {
            self.report(&format!("{}: {}", event.rule, event.message));
            self.actions.send(event);
            self.camera.into_iter().for_each(|camera| camera.event(event));
        }
        self.actions.problems().iter().for_each(|problem| self.report(problem));
    }

    /// Prints a line about the stream on standard error.
    pub(super) fn report(&self, line: &str) {
        self.status.report(format_args!("{}: {line}", self.name));
    }

    /// Finishes what is being written and done. With `summary`, says what there was.
    ///
    /// # Errors
    /// If the video or the database could not be written.
    pub(super) fn finish(self, dropped: u64, summary: bool) -> anyhow::Result<()> {
        if let Some(camera) = self.camera {
            camera.is(CameraCondition::Ended, None);
        }
        let video = match self.video {
            _ if self.video_failed => Err(anyhow::anyhow!("the video could not be written")),
            video => video.map_or(Ok(()), Video::finish),
        };
        let present = self.analysis.present();
        let database = self.database.map_or(Ok(()), |database| database.finish(&present));
        self.clips.into_iter().for_each(Clips::finish);
        let problems = self.actions.finish();
        let report = |line: &str| self.status.report(format_args!("{}: {line}", self.name));
        problems.iter().for_each(|problem| report(problem));
        if summary {
            let people = counts(self.classes, &self.analysis.people().all(), "people");
            let (frames, looks) = (self.frames, self.analysis.classified());
            let rate = frames as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
            let mut line = format!("{people}, {frames} frames");
            // Writing to a string cannot fail.
            if let Some(oldest) = self.oldest {
                let _ = write!(line, " at most {} ms old, {dropped} dropped", oldest.as_millis());
            }
            let _ = write!(line, ", {rate:.1} frames/s, {looks} faces classified");
            report(&line);
            for (line, Crossings { inwards, outwards }) in self.observer.crossings() {
                report(&format!("{line}: crossed in {inwards} times, out {outwards} times"));
            }
        }
        video.and(database.map_err(Into::into))
    }
}
