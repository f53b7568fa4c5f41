//! The one rule by which scores become a label.

/// Index of the largest value, the first of equals, as the reference labels; 0 of none.
pub fn argmax<T: PartialOrd>(values: &[T]) -> usize {
    (1..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}

#[cfg(test)]
mod tests {
    use super::argmax;

    #[test]
    fn the_first_of_equals_wins() {
        assert_eq!(argmax(&[0.2, 0.5, 0.5]), 1);
        assert_eq!(argmax(&[f32::NAN, 0.1]), 0);
        assert_eq!(argmax::<f32>(&[]), 0);
    }
}
