//! Clips of events: what was seen some seconds before and after.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use anyhow::Context;
use image::{ImageFormat, RgbImage, codecs::jpeg::JpegEncoder};
use mask_stream::{Ffmpeg, VideoWriter};

use super::{
    actions::{Problems, note},
    event_folder::EventFolder,
};

/// Frames that wait to be kept.
const QUEUE: usize = 8;
/// Quality of the frames that are kept for the next event, 1 to 100.
const JPEG_QUALITY: u8 = 90;
/// A clip in which one event follows another goes on for so many times the seconds after an event.
const LONGEST: f64 = 10.0;

/// Keeps the last seconds of a stream, and writes clips on a thread of its own.
pub(super) struct Clips {
    folder: EventFolder,
    seconds: f64,
    orders: SyncSender<Order>,
    worker: JoinHandle<()>,
    running: Option<Running>,
}

/// The clip that is being written.
struct Running {
    path: PathBuf,
    begun: f64,
    until: f64,
}

enum Order {
    Frame(RgbImage, f64),
    /// Begins a clip at a rate, in frames a second, with what is kept.
    Begin(PathBuf, f64),
    End,
}

impl Clips {
    /// Of so many seconds before and after an event.
    pub(super) fn new(
        folder: &EventFolder,
        seconds: f64,
        ffmpeg: &Ffmpeg,
        problems: Problems,
    ) -> Self {
        let (orders, received) = sync_channel(QUEUE);
        let recorder = Recorder {
            folder: folder.clone(),
            ffmpeg: ffmpeg.clone(),
            seconds,
            kept: VecDeque::new(),
            writer: None,
            problems,
        };
        let worker = thread::spawn(move || recorder.work(&received));
        Self { folder: folder.clone(), seconds, orders, worker, running: None }
    }

    /// Shows a picture from `time` on. Of a live source, which is not held up, one is left out if the last ones are
    /// not done with.
    pub(super) fn frame(&mut self, picture: RgbImage, time: f64, live: bool) {
        if self.running.as_ref().is_some_and(|running| time > running.until) {
            self.end();
        }
        let order = Order::Frame(picture, time);
        // If the worker is gone, so is the clip, and it has said why.
        if !live {
            let _ = self.orders.send(order);
        } else {
            let _ = self.orders.try_send(order);
        }
    }

    /// Where the clip of an event at `time` will be: the one that is being written, if there is one. `rate` is in
    /// frames a second.
    pub(super) fn event(&mut self, stream: &str, rule: &str, time: f64, rate: f64) -> PathBuf {
        let longest = LONGEST * self.seconds;
        let until = time + self.seconds;
        if let Some(running) = &mut self.running
            && time <= running.until
            && time <= running.begun + longest
        {
            running.until = until;
            return running.path.clone();
        }
        self.end();
        let path = self.folder.path(stream, rule, "mp4");
        let _ = self.orders.send(Order::Begin(path.clone(), rate));
        self.running = Some(Running { path: path.clone(), begun: time, until });
        path
    }

    fn end(&mut self) {
        if self.running.take().is_some() {
            let _ = self.orders.send(Order::End);
        }
    }

    /// Finishes the clip that is being written.
    pub(super) fn finish(mut self) {
        self.end();
        drop(self.orders);
        // It does not panic; if it did, there is nothing left to do for it.
        let _ = self.worker.join();
    }
}

/// What the thread does.
struct Recorder {
    folder: EventFolder,
    ffmpeg: Ffmpeg,
    seconds: f64,
    /// The last seconds, as JPEG: whole pictures would fill the memory.
    kept: VecDeque<(f64, Vec<u8>)>,
    writer: Option<(PathBuf, VideoWriter)>,
    problems: Problems,
}

impl Recorder {
    fn work(mut self, orders: &Receiver<Order>) {
        for order in orders {
            let done = match order {
                Order::Frame(picture, time) => self.keep(picture, time),
                Order::Begin(path, rate) => self.begin(path, rate),
                Order::End => self.end(),
            };
            if let Err(error) = done {
                self.writer = None;
                note(&self.problems, format!("the clip of an event is lost: {error:#}"));
            }
        }
    }

    fn keep(&mut self, picture: RgbImage, time: f64) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode_image(&picture)?;
        self.kept.push_back((time, bytes));
        while self.kept.front().is_some_and(|(kept, _)| *kept < time - self.seconds) {
            self.kept.pop_front();
        }
        match &mut self.writer {
            Some((_, writer)) => Ok(writer.write(picture, time)?),
            None => Ok(()),
        }
    }

    fn begin(&mut self, path: PathBuf, rate: f64) -> anyhow::Result<()> {
        let mut writer: Option<VideoWriter> = None;
        for (time, bytes) in &self.kept {
            let picture =
                image::load_from_memory_with_format(bytes, ImageFormat::Jpeg)?.into_rgb8();
            match &mut writer {
                Some(writer) => writer.write(picture, *time)?,
                None => {
                    let created =
                        VideoWriter::create(&self.ffmpeg, &path, rate, picture, *time, None);
                    writer = Some(created?);
                }
            }
        }
        self.writer = writer.map(|writer| (path, writer));
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let Some((path, writer)) = self.writer.take() else { return Ok(()) };
        writer.finish()?;
        self.folder.prune(&path).context("--save-events")
    }
}
