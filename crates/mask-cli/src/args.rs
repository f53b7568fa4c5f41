//! The arguments.

use std::path::PathBuf;

use annotations::Form;
use clap::{Args, Parser, Subcommand, ValueEnum, builder::PossibleValue};
use image_input::DecodeOptions;
use mask_detector::{
    Arithmetic, DeviceChoice, Engine, FaceDetectorConfig, InputSize, LabelText, PriorLayout,
};

use crate::{
    results::Shard,
    serve::{self, ServeArgs},
    watch::{self, args::WatchArgs},
};

/// Finds the faces in images and says for each whether it wears a mask.
#[derive(Debug, Parser)]
#[command(name = "mask-cli", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Detect faces and masks in images.
    #[command(after_help = DETECT_NOTES)]
    Detect(Box<DetectArgs>),
    /// Watch a video, camera or stream: find, follow and count the people in it.
    #[command(after_help = watch::args::NOTES)]
    Watch(Box<WatchArgs>),
    /// Answer over HTTP, with a page for people.
    #[command(after_help = serve::NOTES)]
    Serve(Box<ServeArgs>),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, in roff.
    Man,
}

const DETECT_NOTES: &str = "\
Exit status: 0 if all images were done, 1 if some failed (the others are done), 2 for wrong \
arguments or nothing to do, 3 if a face of a --fail-on class was found.

Examples:
  mask-cli detect photo.jpg
  mask-cli detect holiday/ --output drawn/ --format csv > faces.csv
  find . -name '*.jpg' | mask-cli detect - --format ndjson
  mask-cli detect photos/ --shard 3/16 --results faces/ --resume --format parquet";

/// Arguments of `detect`.
#[derive(Debug, Args)]
pub(crate) struct DetectArgs {
    /// Images, folders (searched recursively), patterns such as 'a/*.jpg', or - for standard input:
    /// an image, or a list of paths, one per line.
    #[arg(required_unless_present = "watch", value_name = "PHOTO")]
    pub(crate) inputs: Vec<PathBuf>,

    /// Then take the files that come into this folder and the folders in it, as they are completed,
    /// until Ctrl-C.
    #[arg(long, value_name = "DIR")]
    pub(crate) watch: Option<PathBuf>,

    /// Paths on standard input are separated by zero bytes, as `find -print0` writes them.
    #[arg(short = '0', long)]
    pub(crate) null: bool,

    /// Write images with boxes and labels into this folder, in the folders of the input.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,

    /// Make faces unrecognisable in what is drawn, those below the minimum confidence, too.
    #[arg(long, requires = "output", conflicts_with_all = ["crops", "save_labels"])]
    pub(crate) blur: bool,

    /// Width of the drawn lines in pixels [default: what suits the image].
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) line_width: Option<u32>,

    /// What is written beside drawn faces.
    #[arg(long, value_enum, default_value_t = LabelArg::Full)]
    pub(crate) labels: LabelArg,

    /// Font of the drawn labels, a TrueType or OpenType file [default: the built-in one, or one of the
    /// system's where that lacks characters].
    #[arg(long, value_name = "FILE")]
    pub(crate) font: Option<PathBuf>,

    /// Write every face into this folder, in a folder for each class.
    #[arg(long, value_name = "DIR")]
    pub(crate) crops: Option<PathBuf>,

    /// Write the faces as annotations, with copies of the images, for correction by hand and for
    /// training: voc=DIR, yolo=DIR or coco=DIR, a new folder.
    #[arg(long, value_name = "FORM=DIR", value_parser = labels, conflicts_with = "watch")]
    pub(crate) save_labels: Option<(Form, PathBuf)>,

    /// Only report and draw faces of this class. May be given several times.
    #[arg(long, value_name = "CLASS")]
    pub(crate) only: Vec<String>,

    /// Leave out faces whose longer side has fewer pixels.
    #[arg(long, value_name = "PIXELS", default_value_t = 0)]
    pub(crate) min_face: u32,

    /// End with status 3 if a face of this class is found. May be given several times.
    #[arg(long, value_name = "CLASS")]
    pub(crate) fail_on: Vec<String>,

    /// Say at the end on standard error how many images and faces there were, as on a terminal.
    #[arg(long)]
    pub(crate) summary: bool,

    /// Form of the results on standard output [default: table on a terminal, else ndjson].
    #[arg(short, long, value_enum)]
    pub(crate) format: Option<Format>,

    /// Write the results into files of this folder, whole files of up to 1000 images, instead of printing them.
    #[arg(long, value_name = "DIR", conflicts_with = "watch")]
    pub(crate) results: Option<PathBuf>,

    /// Leave out the images whose results are in the folder of --results already.
    #[arg(long, requires = "results")]
    pub(crate) resume: bool,

    /// Take only the images of part N of M, from 1 to M: an image's part depends on its path alone.
    #[arg(long, value_name = "N/M", conflicts_with = "watch")]
    pub(crate) shard: Option<Shard>,

    #[command(flatten)]
    pub(crate) detector: DetectorArgs,

    /// Images that enter the networks at once [default: 1 on the CPU, 8 on a GPU].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) batch: Option<u16>,

    /// Refuse images of more pixels than this, in millions.
    #[arg(long, value_name = "MILLIONS", default_value_t = (DecodeOptions::default().max_pixels / 1_000_000) as u32, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_megapixels: u32,

    /// Refuse damaged images instead of repairing them.
    #[arg(long)]
    pub(crate) strict: bool,

    /// Print the time of each stage on standard error at the end, in milliseconds.
    #[arg(long)]
    pub(crate) timing: bool,
}

/// The networks, and how they run: what every command that detects takes.
#[derive(Debug, Args)]
pub(crate) struct DetectorArgs {
    /// Minimum confidence of a face, from 0 to 1.
    #[arg(long, value_name = "P", default_value_t = FaceDetectorConfig::default().postprocess.score_threshold, value_parser = probability)]
    pub(crate) min_confidence: f32,

    /// Largest intersection over union of two boxes, from 0 to 1; of more, only the box of the higher
    /// confidence is kept.
    #[arg(long, alias = "iou", value_name = "P", default_value_t = FaceDetectorConfig::default().postprocess.iou_threshold, value_parser = probability)]
    pub(crate) max_iou: f32,

    /// Largest part of the smaller of two boxes that may lie in the other, from 0 to 1; of more, only
    /// the box of the higher confidence is kept. 1 is no limit. Lower turns several boxes of one face
    /// into one, and may lose faces that hide each other.
    #[arg(long, value_name = "P", default_value_t = FaceDetectorConfig::default().postprocess.overlap_threshold, value_parser = probability)]
    pub(crate) max_overlap: f32,

    /// Size at which images enter the face network: a side (300), WIDTHxHEIGHT, or long:N for a
    /// long side of N pixels with the aspect ratio kept. Larger finds smaller faces and takes longer.
    #[arg(long, value_name = "SIZE", default_value_t = FaceDetectorConfig::default().input_size)]
    pub(crate) input_size: InputSize,

    /// Also look at images that are larger than this many pixels in parts of this size, for small
    /// faces in large photographs and panoramas; takes as much longer as there are parts [without =PIXELS: 1120].
    #[arg(long, value_name = "PIXELS", num_args = 0..=1, require_equals = true, default_missing_value = "1120", value_parser = clap::value_parser!(u32).range(i64::from(InputSize::MIN_SIDE)..=100_000))]
    pub(crate) tiles: Option<u32>,

    /// The prior boxes [default: those that the weights were trained with]: corrected, squares, or
    /// caffe for OpenCV's own, ghost boxes and all.
    #[arg(long, value_name = "LAYOUT")]
    pub(crate) prior_layout: Option<PriorLayout>,

    /// Device to run on: auto, cpu, gpu or gpu:N.
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceChoice::default())]
    pub(crate) device: DeviceChoice,

    /// What runs the networks on the CPU: fused, or burn for Burn's own backend, which is slower.
    #[arg(long, value_name = "ENGINE", default_value_t = Engine::default())]
    pub(crate) engine: Engine,

    /// In what the networks multiply on the CPU: f32, or int8 for integers of eight bits [default: int8
    /// where the weights are calibrated for it, as the built-in ones are, and the processor is faster so].
    #[arg(long, value_name = "PRECISION")]
    pub(crate) precision: Option<Arithmetic>,

    /// Threads on the CPU [default: all cores]. Results do not depend on it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,

    /// A trained head with its classes, in place of the built-in one.
    #[arg(long, value_name = "FILE")]
    pub(crate) head: Option<PathBuf>,

    /// Weights of the face network, in place of the built-in ones.
    #[arg(long, value_name = "FILE")]
    pub(crate) face_weights: Option<PathBuf>,
}

/// What is written beside a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LabelArg {
    /// The class and its probability.
    Full,
    /// The class.
    Class,
    /// Nothing.
    None,
}

impl From<LabelArg> for LabelText {
    fn from(label: LabelArg) -> Self {
        match label {
            LabelArg::Full => Self::Full,
            LabelArg::Class => Self::Class,
            LabelArg::None => Self::None,
        }
    }
}

/// Form of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs.
    Data(DataFormat),
}

/// Form of results that programs read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataFormat {
    /// One JSON object per image, one per line.
    Ndjson,
    /// One row per face, with a header.
    Csv,
    /// One row per image, with a list of faces.
    Parquet,
}

impl DataFormat {
    /// What names of such files end with.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Data(DataFormat::Ndjson),
            Self::Data(DataFormat::Csv),
            Self::Data(DataFormat::Parquet),
            Self::Table,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Data(format) => {
                let help = match format {
                    DataFormat::Ndjson => "One JSON object per image, one per line",
                    DataFormat::Csv => "One row per face, with a header",
                    DataFormat::Parquet => "One row per image, with a list of faces",
                };
                (format.extension(), help)
            }
            Self::Table => ("table", "For people"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

fn labels(text: &str) -> Result<(Form, PathBuf), String> {
    let (form, folder) = text.split_once('=').ok_or("give voc=DIR, yolo=DIR or coco=DIR")?;
    Ok((form.parse()?, folder.into()))
}

fn probability(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("give a number from 0 to 1".to_owned()),
    }
}
