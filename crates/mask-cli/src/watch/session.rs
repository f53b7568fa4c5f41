//! What becomes of what a source brings: analysed, told, printed and drawn.

use std::{io, ops::ControlFlow, time::Duration};

use detection_schema::{EventRecord, FrameRecord};
use mask_detector::FaceDetection;
use mask_stream::{
    Analysis, Condition, Crossings, Database, Feed, FeedEvent, Frame, Observer, StreamError,
};

use super::{
    actions::Actions,
    printers::FramePrinter,
    status::{Status, counts, present},
    video::Video,
};

/// What lasts over all frames of a source.
pub(super) struct Session<'a> {
    /// The source as it is shown.
    pub(super) name: String,
    pub(super) classes: &'a [String],
    pub(super) analysis: Analysis<'a>,
    pub(super) observer: Observer,
    pub(super) actions: Option<Actions>,
    pub(super) printer: Option<FramePrinter<io::StdoutLock<'static>>>,
    pub(super) video: Option<Video<'a>>,
    pub(super) database: Option<Database>,
    /// Whether the database could not be written the last time.
    pub(super) database_fails: bool,
    pub(super) blur: bool,
    pub(super) stall: Duration,
    pub(super) status: Status,
    /// Time of the last frame.
    pub(super) time: f64,
}

/// How a source ended.
pub(super) enum End {
    /// At its end, or by an error.
    Source(Result<(), StreamError>),
    /// Nobody takes the results.
    Output(io::Error),
}

impl Session<'_> {
    /// Takes what a source brings.
    ///
    /// # Errors
    /// If the networks fail or the video cannot be written.
    pub(super) fn take(
        &mut self,
        event: FeedEvent,
        feed: &Feed,
    ) -> anyhow::Result<ControlFlow<End>> {
        match event {
            FeedEvent::Frame(frame) => return self.frame(frame, feed),
            FeedEvent::Lost { reason, retry } => {
                let line = format!("{reason}; trying again in {} s", retry.as_secs());
                self.source_is(&Condition::Lost, &reason, &line);
            }
            FeedEvent::Back => self.source_is(&Condition::Back, "back", "back"),
            FeedEvent::Frozen => {
                let seconds = self.stall.as_secs_f64();
                let line = format!("the picture has been the same for {seconds} s");
                self.source_is(&Condition::Frozen, &line, &line);
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
        let events = self.observer.see(frame.time, size, &faces, self.analysis.ended());
        self.tell(&events);
        if let Some(database) = &mut self.database {
            let (present, left) = (self.analysis.present(), self.analysis.ended());
            let written = database.frame(frame.time, &present, left, &events);
            self.written(written);
        }
        let record = self.record(&frame, &faces, events);
        if let Some(printer) = &mut self.printer
            && let Err(error) = printer.print(&record)
        {
            return Ok(ControlFlow::Break(End::Output(error)));
        }
        let (age, people) = (frame.arrived.elapsed(), self.analysis.people());
        if let Some(video) = &mut self.video {
            let blurred = if self.blur { self.analysis.regions() } else { Vec::new() };
            let text = present(self.classes, &people);
            video.write(frame, &faces, blurred, feed.rate(), &text)?;
        }
        let duration = feed.duration().filter(|_| !feed.is_live());
        let part = duration.map(|duration| (self.time / duration).clamp(0.0, 1.0));
        self.status.frame(part, feed.dropped(), age, || present(self.classes, &people));
        Ok(ControlFlow::Continue(()))
    }

    fn record(
        &self,
        frame: &Frame,
        faces: &[FaceDetection],
        events: Vec<EventRecord>,
    ) -> FrameRecord {
        let (width, height) = frame.image.dimensions();
        FrameRecord {
            source: self.name.clone(),
            frame: frame.index,
            time: frame.time,
            width,
            height,
            faces: faces.iter().map(FaceDetection::to_record).collect(),
            events,
        }
    }

    fn source_is(&mut self, state: &Condition, message: &str, line: &str) {
        self.report(line);
        let events = self.observer.source_is(state, self.time, message);
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
            self.actions.iter().for_each(|actions| actions.send(event));
        }
        let problems = self.actions.as_ref().map_or_else(Vec::new, Actions::problems);
        problems.iter().for_each(|problem| self.status.report(problem));
    }

    fn report(&self, line: &str) {
        self.status.report(format_args!("{}: {line}", self.name));
    }

    /// Finishes what is being written and done. With `summary`, says what there was.
    ///
    /// # Errors
    /// If the video cannot be written.
    pub(super) fn finish(self, dropped: u64, summary: bool) -> anyhow::Result<()> {
        let video = self.video.map_or(Ok(()), Video::finish);
        let present = self.analysis.present();
        let database = self.database.map_or(Ok(()), |database| database.finish(&present));
        let problems = self.actions.map_or_else(Vec::new, Actions::finish);
        self.status.finish();
        problems.iter().for_each(|problem| self.status.report(problem));
        if summary {
            let people = counts(self.classes, &self.analysis.people().all(), "people");
            let (frames, rate) = (self.status.frames, self.status.rate());
            let looks = self.analysis.classified();
            let dropped = if dropped > 0 { format!(", {dropped} dropped") } else { String::new() };
            self.status.report(format_args!(
                "{people}, {frames} frames{dropped}, {rate:.1} frames/s, {looks} faces classified"
            ));
            for (line, Crossings { inwards, outwards }) in self.observer.crossings() {
                let line = format_args!("{line}: crossed in {inwards} times, out {outwards} times");
                self.status.report(line);
            }
        }
        video.and(database.map_err(Into::into))
    }
}
