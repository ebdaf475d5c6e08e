//! Labels: what tells one instance of a rule from another.

use std::collections::BTreeMap;

use twox_hash::XxHash64;

/// Names and values, in the order of the names.
pub(crate) type Labels = BTreeMap<String, String>;

/// A short name of a set of labels, the same in every process: 16 hex digits.
pub(crate) fn fingerprint(labels: &Labels) -> String {
    let mut text = Vec::new();
    for (name, value) in labels {
        // Lengths, so that no two sets are one text.
        text.extend_from_slice(&(name.len() as u64).to_le_bytes());
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(&(value.len() as u64).to_le_bytes());
        text.extend_from_slice(value.as_bytes());
    }
    format!("{:016x}", XxHash64::oneshot(0, &text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_one_fingerprint_and_others_another() {
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let one = fingerprint(&labels(&[("a", "1"), ("b", "2")]));
        assert_eq!(one, fingerprint(&labels(&[("b", "2"), ("a", "1")])));
        assert_ne!(one, fingerprint(&labels(&[("a", "12"), ("b", "")])));
        assert_eq!(one.len(), 16);
    }
}
