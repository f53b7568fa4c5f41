//! Draws a mask, a hand, a scarf or sunglasses onto a face in an image:
//!
//!     cargo run -p mask-data --example draw_overlay -- IMAGE X Y WIDTH HEIGHT WHAT SEED OUTPUT

use std::{env, error::Error};

use geometry::BoundingBox;
use mask_data::{
    Overlay,
    seed::{Purpose, generator},
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [image, x, y, width, height, what, seed, output] = &arguments[..] else {
        return Err("give IMAGE X Y WIDTH HEIGHT WHAT SEED OUTPUT".into());
    };
    let overlay = match what.as_str() {
        "mask" => Overlay::Mask,
        "under-nose" => Overlay::MaskUnderNose,
        "on-chin" => Overlay::MaskOnChin,
        "hand" => Overlay::Hand,
        "scarf" => Overlay::Scarf,
        "sunglasses" => Overlay::Sunglasses,
        _ => return Err("WHAT is mask, under-nose, on-chin, hand, scarf or sunglasses".into()),
    };
    let (x_min, y_min): (f32, f32) = (x.parse()?, y.parse()?);
    let (width, height): (f32, f32) = (width.parse()?, height.parse()?);
    let face = BoundingBox { x_min, y_min, x_max: x_min + width, y_max: y_min + height };
    let mut image = image::open(image)?.to_rgb8();
    overlay.draw(&mut image, face, &mut generator(Purpose::Overlay, seed.parse()?, 0, 0));
    Ok(image.save(output)?)
}
