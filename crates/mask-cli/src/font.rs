//! A font that has the characters of the classes.

use std::{fs, path::Path};

use anyhow::Context;
use fontdb::Database;
use mask_detector::Annotator;

/// The annotator with the font of a file, or, if its own lacks characters, with one of the system's
/// that has them; and what to tell the user if there is none.
///
/// # Errors
/// If the file is not a font.
pub(crate) fn choose(
    annotator: Annotator,
    file: Option<&Path>,
) -> anyhow::Result<(Annotator, Option<String>)> {
    let annotator = match file {
        Some(file) => {
            let bytes =
                fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            annotator.with_font(bytes, 0).map_err(|_| {
                anyhow::anyhow!("{}: not a TrueType or OpenType font", file.display())
            })?
        }
        None => annotator,
    };
    let Some(character) = annotator.missing_character() else { return Ok((annotator, None)) };
    if file.is_none()
        && let Some(annotator) = of_system(&annotator)
    {
        return Ok((annotator, None));
    }
    let remedy = format!("the font has no `{character}`; give one that has it with --font FILE");
    Ok((annotator, Some(remedy)))
}

/// The first of the system's fonts, by their names, with all characters.
fn of_system(annotator: &Annotator) -> Option<Annotator> {
    let mut fonts = Database::new();
    fonts.load_system_fonts();
    let mut faces: Vec<_> = fonts.faces().collect();
    faces.sort_by(|a, b| a.post_script_name.cmp(&b.post_script_name));
    faces.into_iter().find_map(|face| {
        let with = fonts.with_face_data(face.id, |data, index| {
            annotator.clone().with_font(data.to_vec(), index).ok()
        });
        with.flatten().filter(|annotator| annotator.missing_character().is_none())
    })
}
