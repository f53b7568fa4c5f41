//! What a worker does with its images: decoded, searched for faces, drawn and cut out.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
    time::Instant,
};

use image::RgbImage;
use image_input::{DecodeError, DecodeOptions, Decoded, ImageView, OtherKind, decode, decode_file};
use mask_detector::{Annotator, BoundingBox, DetectError, FaceDetection, MaskDetector, blur_faces};

use crate::{
    inputs::{Input, STDIN_NAME},
    output_images,
    pipeline::lock,
    selection::Selection,
    timing::StageTimes,
};

/// Images of more pixels, as few cameras make, are worked on one at a time, and a worker that holds so many
/// decodes no further one: some photographs of the largest sensors would otherwise fill a machine's memory.
const LARGE: u64 = 32_000_000;

/// An input, and the name of its drawn image.
pub(crate) type NamedInput = (Input, Option<PathBuf>);

/// What is done with every image.
pub(crate) struct ImageWork<'a> {
    pub(crate) detector: &'a MaskDetector,
    pub(crate) options: DecodeOptions,
    /// Less confident faces are only regions to be blurred.
    pub(crate) min_confidence: f32,
    pub(crate) selection: Selection,
    pub(crate) annotator: Annotator,
    /// Whether faces are made unrecognisable in drawn images.
    pub(crate) blur: bool,
    /// Where drawn images go.
    pub(crate) drawn: Option<&'a Path>,
    /// Where faces go.
    pub(crate) crops: Option<&'a Path>,
    /// Held by who is in the networks, where the device has one worker at a time there.
    pub(crate) device: Option<Mutex<()>>,
    /// Held by who has a large image.
    pub(crate) large: Mutex<()>,
}

/// What became of an input.
pub(crate) struct Finished {
    pub(crate) path: PathBuf,
    pub(crate) result: Result<Found, String>,
    /// Whether there was a face that ends the run with its own status.
    pub(crate) failing: bool,
    /// What was repaired.
    pub(crate) warning: Option<String>,
    /// What a batch shares is counted at its first image.
    pub(crate) times: StageTimes,
}

/// An image's faces.
pub(crate) struct Found {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Those that were asked for.
    pub(crate) faces: Vec<FaceDetection>,
    /// Where the drawn image is.
    pub(crate) drawn: Option<PathBuf>,
}

/// An input after decoding.
struct DecodedInput<'a> {
    path: PathBuf,
    /// The name of its drawn image.
    name: Option<PathBuf>,
    image: Result<RgbImage, String>,
    /// What was repaired.
    warning: Option<String>,
    times: StageTimes,
    /// It is the large image.
    large: Option<MutexGuard<'a, ()>>,
}

impl DecodedInput<'_> {
    fn pixels(&self) -> u64 {
        let image = self.image.as_ref();
        image.map_or(0, |image| u64::from(image.width()) * u64::from(image.height()))
    }
}

/// The faces of an image.
struct Searched {
    faces: Vec<FaceDetection>,
    /// Every box that was found, also of less confidence.
    regions: Vec<BoundingBox>,
}

impl ImageWork<'_> {
    /// Does everything with some inputs and hands each over when it is done, in their order.
    pub(crate) fn run(&self, inputs: Vec<NamedInput>, hand_over: &mut dyn FnMut(Finished)) {
        let mut batch: Vec<DecodedInput<'_>> = Vec::new();
        for (input, name) in inputs {
            // Nobody waits for the large image's turn with others in hand.
            let wait = || {
                self.finish(std::mem::take(&mut batch), hand_over);
                lock(&self.large)
            };
            let decoded = self.decode(input, name, wait);
            batch.push(decoded);
            if batch.iter().map(DecodedInput::pixels).sum::<u64>() > LARGE {
                self.finish(std::mem::take(&mut batch), hand_over);
            }
        }
        self.finish(batch, hand_over);
    }

    /// Decodes an input, after `wait` if it is large.
    fn decode<'a>(
        &self,
        input: Input,
        name: Option<PathBuf>,
        wait: impl FnOnce() -> MutexGuard<'a, ()>,
    ) -> DecodedInput<'a> {
        let mut start = Instant::now();
        let mut large = None;
        let in_turn = |decode: &dyn Fn(&DecodeOptions) -> Result<Decoded, DecodeError>| {
            let max_pixels = self.options.max_pixels.min(LARGE);
            let few = DecodeOptions { max_pixels, ..self.options };
            let mut image = decode(&few);
            if few != self.options && matches!(image, Err(DecodeError::TooLarge { .. })) {
                large = Some(wait());
                start = Instant::now();
                image = decode(&self.options);
            }
            image.map_err(|error| decode_error(&error))
        };
        let (path, image) = match input {
            Input::Failed { path, error } => (path, Err(error)),
            Input::Image { path, .. } => {
                let image =
                    in_turn(&|options| decode_file(&path, options).map_err(|error| error.problem));
                (path, image)
            }
            Input::Bytes(bytes) => {
                (STDIN_NAME.into(), in_turn(&|options| decode(&bytes, None, options)))
            }
        };
        let (image, warning) = match image {
            Ok(Decoded { image, warning, .. }) => (Ok(image), warning),
            Err(error) => (Err(error), None),
        };
        let times = StageTimes { decode: start.elapsed(), ..StageTimes::default() };
        DecodedInput { path, name, image, warning, times, large }
    }

    /// Searches decoded images together, draws them and hands them over.
    fn finish(&self, batch: Vec<DecodedInput<'_>>, hand_over: &mut dyn FnMut(Finished)) {
        let images = batch.iter().filter_map(|decoded| decoded.image.as_ref().ok());
        let images: Vec<ImageView<'_>> = images.map(ImageView::from).collect();
        let mut shared = StageTimes::default();
        let mut searched = match self.search(&images, &mut shared) {
            Ok(searched) => searched.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => images.iter().map(|_| Err(error.to_string())).collect(),
        }
        .into_iter();
        for DecodedInput { path, name, image, warning, mut times, large } in batch {
            let mut failing = false;
            let result = image.and_then(|image| {
                times += std::mem::take(&mut shared);
                let searched = searched.next().unwrap_or_else(|| Err("not searched".to_owned()));
                let Searched { mut faces, regions } = searched?;
                failing = self.selection.apply(&mut faces);
                let start = Instant::now();
                let found = self.write(image, faces, regions, name.as_deref());
                times.draw += start.elapsed();
                found.map_err(|error| format!("{error:#}"))
            });
            drop(large);
            hand_over(Finished { path, result, failing, warning, times });
        }
    }

    /// Runs the networks.
    fn search(
        &self,
        images: &[ImageView<'_>],
        times: &mut StageTimes,
    ) -> Result<Vec<Searched>, DetectError> {
        let _turn = self.device.as_ref().map(lock);
        let start = Instant::now();
        let mut faces = self.detector.find_faces(images)?;
        times.faces += start.elapsed();
        let start = Instant::now();
        let mut regions = Vec::with_capacity(faces.len());
        for faces in &mut faces {
            regions.push(faces.iter().map(|face| face.bbox).collect());
            faces.retain(|face| face.score >= self.min_confidence);
        }
        let faces = self.detector.classify_faces(images, &faces)?;
        times.masks += start.elapsed();
        let searched = faces.into_iter().zip(regions);
        Ok(searched.map(|(faces, regions)| Searched { faces, regions }).collect())
    }

    /// Writes the faces and the drawn image, where that is asked for.
    fn write(
        &self,
        mut image: RgbImage,
        faces: Vec<FaceDetection>,
        regions: Vec<BoundingBox>,
        name: Option<&Path>,
    ) -> anyhow::Result<Found> {
        let (width, height) = image.dimensions();
        if let Some((folder, name)) = self.crops.zip(name) {
            output_images::write_crops(&image, &faces, folder, name)?;
        }
        let drawn = self.drawn.zip(name).map(|(folder, name)| folder.join(name));
        if let Some(target) = &drawn {
            if self.blur {
                blur_faces(&mut image, regions);
            }
            self.annotator.draw(&mut image, &faces);
            output_images::write(&image, target)?;
        }
        Ok(Found { width, height, faces, drawn })
    }
}

/// What is wrong with an image, with the flag that helps.
fn decode_error(error: &DecodeError) -> String {
    match error {
        DecodeError::TooLarge { .. } => format!("{error} (--max-megapixels)"),
        DecodeError::Other(OtherKind::Video) => format!("{error}, or give it to `mask-cli watch`"),
        _ => error.to_string(),
    }
}
