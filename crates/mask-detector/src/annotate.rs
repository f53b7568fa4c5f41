//! Drawing of boxes and labels.

use ab_glyph::{Font, FontArc, FontVec, InvalidFont, PxScale};
use detection_schema::class_color;
use image::{Rgb, RgbImage};
use imageproc::{
    drawing::{draw_filled_rect_mut, draw_text_mut, text_size},
    rect::Rect,
};

use crate::{FaceDetection, ImageSize, PixelRect};

/// DejaVu Sans Bold 2.37: its licence stands beside it.
static FONT: &[u8] = include_bytes!("../assets/DejaVuSans-Bold.ttf");

/// Quality at which drawn images are written as JPEG, 1 to 100: high enough that thin lines stay clean.
pub const JPEG_QUALITY: u8 = 92;

/// What is written beside a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LabelText {
    /// The class and its probability.
    #[default]
    Full,
    /// The class.
    Class,
    /// Nothing.
    None,
}

/// Draws faces with their labels: one colour per class, sizes that suit the image.
#[derive(Debug, Clone)]
pub struct Annotator {
    classes: Vec<String>,
    font: FontArc,
    line_width: Option<u32>,
    text: LabelText,
}

impl Annotator {
    /// An annotator for the given classes, as [`crate::MaskDetector::classes`] names them.
    ///
    /// # Errors
    /// If the embedded font cannot be read, which would be a fault of the build.
    pub fn new(classes: &[String]) -> Result<Self, InvalidFont> {
        Ok(Self {
            classes: classes.to_vec(),
            font: FontArc::try_from_slice(FONT)?,
            line_width: None,
            text: LabelText::default(),
        })
    }

    /// With another font: the bytes of a TrueType or OpenType file, and which of the fonts in it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn with_font(self, font: Vec<u8>, index: u32) -> Result<Self, InvalidFont> {
        Ok(Self { font: FontVec::try_from_vec_and_index(font, index)?.into(), ..self })
    }

    /// With lines of so many pixels, in place of what suits the image.
    pub fn with_line_width(self, pixels: u32) -> Self {
        Self { line_width: Some(pixels), ..self }
    }

    /// With other texts.
    pub fn with_labels(self, text: LabelText) -> Self {
        Self { text, ..self }
    }

    /// A character of the classes' names that the font lacks.
    pub fn missing_character(&self) -> Option<char> {
        let lacks = |character: &char| self.font.glyph_id(*character).0 == 0;
        self.classes.iter().flat_map(|name| name.chars()).find(lacks)
    }

    /// Draws every face's box and label into the image.
    pub fn draw(&self, image: &mut RgbImage, faces: &[FaceDetection]) {
        let (width, height) = image.dimensions();
        let size = ImageSize { width, height };
        let short_side = width.min(height) as f32;
        let suits = (short_side / 250.0).round().max(1.0) as u32;
        let thickness = self.line_width.unwrap_or(suits);
        // The least confident first, so that the best stay on top.
        for face in faces.iter().rev() {
            let color = Rgb(class_color(&self.classes, face.label()));
            draw_box(image, face.bbox.enclosing_rect(size), thickness, color);
        }
        for face in faces.iter().rev() {
            let text = match self.text {
                LabelText::Full => {
                    let track = face.track.map_or_else(String::new, |track| format!("#{track} "));
                    let percent = 100.0 * face.label_probability();
                    format!("{track}{} {percent:.0}%", face.label())
                }
                LabelText::Class => face.label().to_owned(),
                LabelText::None => continue,
            };
            // Readable, yet not much wider than the face it belongs to.
            let wanted = (face.bbox.width() / 7.0).clamp(short_side / 40.0, short_side / 12.0);
            let color = Rgb(class_color(&self.classes, face.label()));
            self.draw_label(image, face, &text, wanted.max(11.0), color);
        }
    }

    /// Draws a line of text into the upper left corner, white on grey.
    pub fn draw_caption(&self, image: &mut RgbImage, text: &str) {
        let (width, height) = image.dimensions();
        let size = (width.min(height) as f32 / 24.0).max(11.0);
        if let Some(label) = self.fit(text, size, width, height) {
            self.write_label(image, &label, [0, 0], text, Rgb([60, 60, 60]));
        }
    }

    /// Draws a label above its face, or wherever it fits into the image.
    fn draw_label(
        &self,
        image: &mut RgbImage,
        face: &FaceDetection,
        text: &str,
        size: f32,
        color: Rgb<u8>,
    ) {
        let (width, height) = image.dimensions();
        let Some(label) = self.fit(text, size, width, height) else { return };
        let bbox = face.bbox.enclosing_rect(ImageSize { width, height });
        let PixelRect { x: left, y: top, height: box_height, .. } = bbox;
        let x = left.min(width - label.width);
        let y = match top.checked_sub(label.height) {
            Some(above) => above,
            None if top + box_height + label.height <= height => top + box_height,
            None => top.min(height - label.height),
        };
        self.write_label(image, &label, [x, y], text, color);
    }

    /// Writes a text on its background, whose upper left corner is given.
    fn write_label(
        &self,
        image: &mut RgbImage,
        label: &Label,
        [x, y]: [u32; 2],
        text: &str,
        background: Rgb<u8>,
    ) {
        let area = Rect::at(x as i32, y as i32).of_size(label.width, label.height);
        draw_filled_rect_mut(image, area, background);
        let (x, y) = ((x + label.padding) as i32, (y + label.padding) as i32);
        let white = Rgb([255, 255, 255]);
        draw_text_mut(image, white, x, y, PxScale::from(label.size), &self.font, text);
    }

    /// The label at the wanted size, or smaller if the image is. `None` where even a tiny one has
    /// no room.
    fn fit(&self, text: &str, mut size: f32, width: u32, height: u32) -> Option<Label> {
        while size >= 5.0 {
            let padding = (size / 6.0).round() as u32;
            let (text_width, _) = text_size(PxScale::from(size), &self.font, text);
            let label = Label {
                width: text_width + 2 * padding,
                height: size.ceil() as u32 + 2 * padding,
                padding,
                size,
            };
            if label.width <= width && label.height <= height {
                return Some(label);
            }
            size *= 0.85;
        }
        None
    }
}

/// Sizes of a label, in pixels.
struct Label {
    width: u32,
    height: u32,
    padding: u32,
    size: f32,
}

/// Draws the outline of a rectangle inside its edges.
fn draw_box(
    image: &mut RgbImage,
    PixelRect { x, y, width, height }: PixelRect,
    thickness: u32,
    color: Rgb<u8>,
) {
    let (across, down) = (thickness.min(width), thickness.min(height));
    let sides = [
        (x, y, width, down),
        (x, y + height - down, width, down),
        (x, y, across, height),
        (x + width - across, y, across, height),
    ];
    for (x, y, width, height) in sides {
        let side = Rect::at(x as i32, y as i32).of_size(width, height);
        draw_filled_rect_mut(image, side, color);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSES: [&str; 5] = ["a", "with_incorrect_mask", "with_mask", "without_mask", "b"];
    use crate::BoundingBox;

    fn face(label: &str, [x_min, y_min, x_max, y_max]: [f32; 4]) -> FaceDetection {
        FaceDetection {
            bbox: BoundingBox { x_min, y_min, x_max, y_max },
            score: 0.9,
            class: 0,
            probabilities: vec![0.97],
            classes: [label.to_owned()].into(),
            track: None,
        }
    }

    fn annotator() -> Annotator {
        let classes = CLASSES.map(str::to_owned);
        Annotator::new(&classes).unwrap()
    }

    /// The pixels that drawing changed: bounding box and count.
    fn changed(image: &RgbImage) -> (u32, u32, u32, u32, usize) {
        let grey = Rgb([90, 90, 90]);
        let touched: Vec<_> = image.enumerate_pixels().filter(|(_, _, p)| **p != grey).collect();
        let xs = touched.iter().map(|(x, _, _)| *x);
        let ys = touched.iter().map(|(_, y, _)| *y);
        (
            xs.clone().min().unwrap(),
            ys.clone().min().unwrap(),
            xs.max().unwrap(),
            ys.max().unwrap(),
            touched.len(),
        )
    }

    #[test]
    fn the_outline_lies_on_the_box_and_the_label_beside_it() {
        let mut image = RgbImage::from_pixel(400, 300, Rgb([90, 90, 90]));
        annotator().draw(&mut image, &[face("with_mask", [150.0, 100.0, 250.0, 220.0])]);
        let on_outline = [(150, 160), (249, 160), (200, 100), (200, 219)];
        assert!(on_outline.iter().all(|(x, y)| *image.get_pixel(*x, *y) == Rgb([0, 158, 60])));
        assert_eq!(*image.get_pixel(200, 160), Rgb([90, 90, 90]), "the face is not painted over");
        let (_, top, _, bottom, _) = changed(&image);
        assert!(top < 100 && bottom == 219);
    }

    #[test]
    fn labels_stay_whole_at_every_edge_and_size() {
        let annotator = annotator();
        for (width, height) in [(64, 48), (300, 40), (400, 300), (3000, 2000)] {
            let (w, h) = (width as f32, height as f32);
            let boxes = [
                [0.0, 0.0, w / 4.0, h / 4.0],
                [w * 0.75, 0.0, w, h / 4.0],
                [w * 0.75, h * 0.75, w, h],
                [0.0, 0.0, w, h],
            ];
            for corners in boxes {
                let mut image = RgbImage::from_pixel(width, height, Rgb([90, 90, 90]));
                annotator.draw(&mut image, &[face("without_mask", corners)]);
                // White text was drawn, and the background shows on all sides of it: nothing is cut.
                let white: Vec<_> = image
                    .enumerate_pixels()
                    .filter(|(_, _, p)| p.0.iter().all(|c| *c > 230))
                    .map(|(x, y, _)| (x, y))
                    .collect();
                assert!(!white.is_empty(), "{width} x {height}: no text");
                assert!(white.iter().all(|(x, y)| *x > 0 && *x < width - 1 && *y < height - 1));
            }
        }
    }

    #[test]
    fn fonts_lines_and_texts_can_be_chosen() {
        let plain = annotator();
        let drawn = |annotator: &Annotator| {
            let mut image = RgbImage::from_pixel(400, 300, Rgb([90, 90, 90]));
            annotator.draw(&mut image, &[face("with_mask", [150.0, 100.0, 250.0, 220.0])]);
            changed(&image).4
        };
        let outline = drawn(&plain.clone().with_labels(LabelText::None).with_line_width(1));
        assert_eq!(outline, 2 * (100 + 120) - 4);
        assert!(drawn(&plain.clone().with_line_width(9)) > drawn(&plain) + 1000);
        assert!(drawn(&plain.clone().with_labels(LabelText::Class)) < drawn(&plain));
        let same = plain.clone().with_font(FONT.to_vec(), 0).unwrap();
        assert_eq!(drawn(&same), drawn(&plain));
        assert!(plain.with_font(b"no font".to_vec(), 0).is_err());
    }

    #[test]
    fn what_the_font_lacks_is_known() {
        let missing =
            |class: &str| Annotator::new(&[class.to_owned()]).unwrap().missing_character();
        assert_eq!(missing("masque porté, μάσκα, маска"), None);
        assert_eq!(missing("a 口罩"), Some('口'));
    }

    #[test]
    fn images_too_small_for_text_still_get_their_box() {
        let mut image = RgbImage::from_pixel(3, 3, Rgb([90, 90, 90]));
        annotator().draw(&mut image, &[face("with_mask", [0.0, 0.0, 3.0, 3.0])]);
        // All but the middle one of the image's pixels.
        assert_eq!(changed(&image).4, 8);
    }
}
