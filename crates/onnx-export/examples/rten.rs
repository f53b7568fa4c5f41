//! A face network that takes images, in rten: rten FACES.onnx PHOTO

#![allow(clippy::print_stdout, reason = "it prints")]

use image::imageops::{self, FilterType};
use rten::Model;
use rten_tensor::{NdTensor, prelude::*};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(network), Some(photo)) = (arguments.next(), arguments.next()) else {
        return Err("give a network and a photograph".into());
    };
    let (width, height) = (640, 640);
    let photo = image::open(photo)?.into_rgb8();
    let scale = (width as f32 / photo.width() as f32).min(height as f32 / photo.height() as f32);
    let size = [photo.width(), photo.height()].map(|side| (side as f32 * scale).round() as u32);
    let mut canvas = image::RgbImage::new(width, height);
    let scaled = imageops::resize(&photo, size[0], size[1], FilterType::Triangle);
    imageops::replace(&mut canvas, &scaled, 0, 0);
    let image =
        NdTensor::<f32, 4>::from_fn([1, 3, height as usize, width as usize], |[_, c, y, x]| {
            f32::from(canvas[(x as u32, y as u32)].0[c])
        });

    let model = Model::load_file(network)?;
    let outputs = [model.node_id("boxes")?, model.node_id("scores")?];
    let inputs = vec![(model.node_id("image")?, image.view().into())];
    let mut results = model.run(inputs, &outputs, None)?.into_iter();
    let (Some(boxes), Some(scores)) = (results.next(), results.next()) else { return Ok(()) };
    let (boxes, scores): (NdTensor<f32, 3>, NdTensor<f32, 2>) =
        (boxes.try_into()?, scores.try_into()?);
    for face in 0..scores.size(1) {
        if scores[[0, face]] >= 0.65 {
            let corners: Vec<f32> = (0..4).map(|at| boxes[[0, face, at]] / scale).collect();
            println!("{:.3} {corners:.1?}", scores[[0, face]]);
        }
    }
    Ok(())
}
