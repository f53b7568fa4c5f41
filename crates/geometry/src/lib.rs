//! Boxes and what is computed with them.
//!
//! [`UnitBox`] is in fractions of an image, as networks see boxes; [`BoundingBox`] is in pixels, as
//! users do; [`PixelRect`] holds whole pixels to cut out or draw.
//!
//! ```
//! use geometry::{ImageSize, UnitBox};
//!
//! let size = ImageSize { width: 200, height: 100 };
//! let unit = UnitBox { x_min: 0.25, y_min: -0.1, x_max: 0.5, y_max: 0.75 };
//! let pixels = unit.to_pixels(size).clamp(size);
//! assert_eq!((pixels.x_min, pixels.y_min, pixels.x_max, pixels.y_max), (50.0, 0.0, 100.0, 75.0));
//! assert_eq!(pixels.iou(&pixels), 1.0);
//!
//! let rect = pixels.enclosing_rect(size);
//! assert_eq!((rect.x, rect.y, rect.width, rect.height), (50, 0, 50, 75));
//! ```

mod boxes;
mod crop;
mod nms;
mod rect;

pub use boxes::{BoundingBox, UnitBox};
pub use crop::Crop;
pub use nms::non_maximum_suppression;
pub use rect::{ImageSize, PixelRect};
