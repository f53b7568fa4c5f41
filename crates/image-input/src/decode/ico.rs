//! Icons that hold PNG files.

use super::png;

/// The PNG file in an icon file, if its largest image is one. `image` takes only those of RGB with
/// transparency.
pub(super) fn largest_png(bytes: &[u8]) -> Option<&[u8]> {
    let number = |at: usize, bytes_of: usize| {
        let part = bytes.get(at..at + bytes_of)?;
        Some(part.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    };
    let count = number(4, 2)?;
    // Sides of 256 are stored as zero.
    let side = |at: usize| number(at, 1).map(|side| if side == 0 { 256 } else { side });
    let entries = (0..count).map(|entry| 6 + 16 * entry);
    let largest = entries.max_by_key(|at| {
        let area = side(*at).zip(side(at + 1)).map(|(width, height)| width * height);
        (area, number(at + 6, 2))
    })?;
    let (length, offset) = (number(largest + 8, 4)?, number(largest + 12, 4)?);
    let image = bytes.get(offset..offset.checked_add(length)?)?;
    image.starts_with(png::SIGNATURE).then_some(image)
}
