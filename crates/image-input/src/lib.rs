//! From images, wherever they are, to the input of a network.
//!
//! [`ImageView`] borrows pixels of any common order; [`decode`] and [`decode_file`] make upright RGB
//! images of encoded ones; [`images_in`] finds them in folders; [`NetworkInput`] resizes and
//! normalises.
//!
//! ```
//! use image_input::{ImageView, NetworkInput, Normalization, PixelFormat};
//!
//! // Two frames of a camera that yields BGR, with padded rows, as 8 x 8 RGB in [-1, 1].
//! let frame = vec![255; 16 * (3 * 20 + 4)];
//! let view = ImageView::new(&frame, (20, 16), PixelFormat::Bgr, 3 * 20 + 4)?;
//! let mut input = NetworkInput::new((8, 8), Normalization::UNIT_RGB);
//! input.push(view)?;
//! input.push(view)?;
//! assert_eq!(input.shape(), [2, 8, 8, 3]);
//! assert!(input.values().iter().all(|value| *value == 1.0));
//! # Ok::<(), image_input::ViewError>(())
//! ```

mod decode;
mod discover;
mod format;
mod network_input;
mod view;

pub use decode::{
    DecodeError, DecodeOptions, Decoded, ImageError, decode, decode_file, upright_size,
};
pub use discover::{
    DiscoverError, FolderImages, Skipped, common_folder, images_in, is_image_name, is_system_name,
};
pub use format::{FileKind, OtherKind};
pub use network_input::{NetworkInput, Normalization};
pub use view::{ImageView, PixelFormat, ViewError};
