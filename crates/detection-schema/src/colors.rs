//! The colours of classes, wherever results are shown.

use crate::{WITH_INCORRECT_MASK, WITH_MASK, WITHOUT_MASK};

const GREEN: [u8; 3] = [0, 158, 60];
const RED: [u8; 3] = [213, 40, 32];
const ORANGE: [u8; 3] = [238, 119, 51];

/// Colours of further classes: the bright ones of Paul Tol's scheme, told apart by the colour-blind.
const OTHERS: [[u8; 3]; 4] = [[0, 119, 187], [238, 51, 119], [51, 187, 238], [130, 100, 20]];

/// The colour of a class among `classes`, as RGB: green, red and orange for [`WITH_MASK`],
/// [`WITHOUT_MASK`] and [`WITH_INCORRECT_MASK`].
pub fn class_color(classes: &[String], class: &str) -> [u8; 3] {
    let own = |class: &str| match class {
        WITH_MASK => Some(GREEN),
        WITHOUT_MASK => Some(RED),
        WITH_INCORRECT_MASK => Some(ORANGE),
        _ => None,
    };
    own(class).unwrap_or_else(|| {
        let mut others = classes.iter().filter(|name| own(name).is_none());
        let index = others.position(|name| name == class).unwrap_or(0);
        OTHERS[index % OTHERS.len()]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_tell_classes_apart() {
        let names = [WITH_MASK, WITHOUT_MASK, WITH_INCORRECT_MASK, "visor", "scarf", "beard"];
        let classes = names.map(str::to_owned);
        let colors = names.map(|class| class_color(&classes, class));
        for (i, color) in colors.iter().enumerate() {
            assert!(!colors[..i].contains(color));
        }
    }
}
