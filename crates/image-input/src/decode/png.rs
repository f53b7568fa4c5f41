//! Repairs of PNG files that a decoder refuses.

use std::borrow::Cow;

/// The bytes before the first chunk.
pub(super) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// The last chunk, which is empty.
const END: [u8; 12] = [0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xAE, 0x42, 0x60, 0x82];

/// A file with right checksums of its image data and with an end, and what was wrong. What lacks
/// image data stays as it is, for the decoder to refuse.
pub(super) fn repaired(bytes: &[u8]) -> (Cow<'_, [u8]>, Option<String>) {
    let (mut data, mut damage) = (Cow::Borrowed(bytes), None);
    let mut at = SIGNATURE.len();
    while let Some(head) = bytes.get(at..at + 8) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let (kind, end) = (&head[4..8], at.saturating_add(12).saturating_add(length));
        if kind == b"IEND" {
            return (data, damage);
        }
        let Some(chunk) = bytes.get(at..end) else { break };
        let checksum = crc32fast::hash(&chunk[4..8 + length]).to_be_bytes();
        if kind == b"IDAT" && chunk[8 + length..] != checksum {
            data.to_mut()[end - 4..end].copy_from_slice(&checksum);
            damage = Some("a checksum of the image data is wrong".to_owned());
        }
        at = end;
    }
    // Whatever follows the last whole chunk.
    let rest = bytes.len().saturating_sub(at);
    if rest < 8 {
        let data = data.to_mut();
        data.truncate(at);
        data.extend(END);
        damage = damage.or_else(|| Some("the file lacks its end".to_owned()));
    }
    (data, damage)
}
