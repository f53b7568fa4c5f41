//! Which way up an image is.

use image::metadata::Orientation;

/// The orientation in an EXIF chunk, stored as any integer. `image` takes only SHORT, which the
/// standard asks for and not every writer writes.
pub(super) fn of_exif(chunk: &[u8]) -> Option<Orientation> {
    let exif = exif::Reader::new().read_raw(chunk.to_vec()).ok()?;
    let field = exif.get_field(exif::Tag::Orientation, exif::In::PRIMARY)?;
    Orientation::from_exif(u8::try_from(field.value.get_uint(0)?).ok()?)
}
