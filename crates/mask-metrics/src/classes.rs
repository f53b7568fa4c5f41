//! Classes by name, some of which count as others.

/// Names of classes in the order in which they turn up.
#[derive(Debug, Clone, Default)]
pub struct ClassNames {
    names: Vec<String>,
    /// Classes that count as others: from, to.
    merged: Vec<(String, String)>,
}

impl ClassNames {
    /// No names yet; each pair's first class is to count as its second.
    pub fn new(merged: &[(String, String)]) -> Self {
        Self { names: Vec::new(), merged: merged.to_vec() }
    }

    /// The index of a class, after merging. A new name is added.
    pub fn index(&mut self, name: &str) -> usize {
        let merged = self.merged.iter().find(|(from, _)| from == name);
        let name = merged.map_or(name, |(_, to)| to);
        self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        })
    }

    /// Probabilities in the order of the names, those of merged classes added up.
    pub fn probabilities<'a>(&mut self, of: impl IntoIterator<Item = (&'a str, f64)>) -> Vec<f64> {
        let mut probabilities = vec![0.0; self.names.len()];
        for (name, probability) in of {
            let at = self.index(name);
            probabilities.resize(self.names.len().max(probabilities.len()), 0.0);
            probabilities[at] += probability;
        }
        probabilities
    }

    /// The names.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

#[cfg(test)]
mod tests {
    use super::ClassNames;

    #[test]
    fn merged_classes_share_an_index_and_add_up() {
        let merged = [("under_nose".to_owned(), "bare".to_owned())];
        let mut classes = ClassNames::new(&merged);
        assert_eq!(classes.index("mask"), 0);
        let sums = classes.probabilities([("bare", 0.25), ("mask", 0.5), ("under_nose", 0.25)]);
        assert_eq!(sums, [0.5, 0.5]);
        assert_eq!(classes.index("under_nose"), 1);
        assert_eq!(classes.names(), ["mask", "bare"]);
    }
}
