//! `cargo xtask convert`: a data set's annotations in another form.

use std::path::PathBuf;

use annotations::{Annotations, Form, write};
use anyhow::{Context, ensure};
use clap::Args;

use crate::{
    progress::{print, remark},
    train::samples::remark_dropped,
};

/// Write a data set's annotations in another form, with copies of its images.
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// Folder with annotations in the form of Pascal VOC, YOLO or COCO.
    #[arg(long, value_name = "DIR")]
    dataset: PathBuf,
    /// The form: voc, yolo or coco.
    #[arg(long, value_name = "FORM")]
    to: Form,
    /// A new folder.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
}

/// Runs the task.
pub(crate) fn run(args: &ConvertArgs) -> anyhow::Result<()> {
    let found = Annotations::find(&args.dataset).with_context(|| {
        format!(
            "{}: no annotations in the form of Pascal VOC, YOLO or COCO in it",
            args.dataset.display()
        )
    })?;
    let set = found.read()?;
    remark_dropped(&set.dropped);
    ensure!(!args.output.exists(), "{} exists already; give a new folder", args.output.display());
    let absent = set.images.iter().filter(|image| image.image.is_none()).count();
    if absent > 0 {
        remark(format_args!("left out: {absent} annotated images that are not there"));
    }
    let objects = || set.images.iter().flat_map(|image| &image.objects);
    let difficult = objects().filter(|object| object.difficult).count();
    if args.to == Form::Yolo && difficult > 0 {
        remark(format_args!("YOLO's form cannot say that {difficult} objects are difficult"));
    }
    write(&set.images, args.to, &args.output)?;
    print(format_args!(
        "{} images with {} objects: {}",
        set.images.len() - absent,
        objects().count(),
        args.output.display()
    ))?;
    Ok(())
}
