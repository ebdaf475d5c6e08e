//! What a value is compared with: `> 5`.

/// A comparison with a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Threshold {
    sign: Sign,
    number: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Is,
    IsNot,
}

/// Longer ones first, for `>` begins `>=`.
const SIGNS: [(&str, Sign); 6] = [
    ("<=", Sign::LessOrEqual),
    (">=", Sign::GreaterOrEqual),
    ("==", Sign::Is),
    ("!=", Sign::IsNot),
    ("<", Sign::Less),
    (">", Sign::Greater),
];

impl Threshold {
    /// Reads `SIGN NUMBER`.
    ///
    /// # Errors
    /// What it should look like.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("threshold is {text:?}: write a comparison and a number, as in '> 5'");
        let text = text.trim();
        let (word, sign) = SIGNS.iter().find(|(word, _)| text.starts_with(word)).ok_or_else(wrong)?;
        let number: f64 = text[word.len()..].trim().parse().map_err(|_| wrong())?;
        if !number.is_finite() {
            return Err(wrong());
        }
        Ok(Self { sign: *sign, number })
    }

    /// Whether a value is beyond it. Nothing is beyond `NaN`.
    pub(crate) fn holds(self, value: f64) -> bool {
        match self.sign {
            Sign::Less => value < self.number,
            Sign::LessOrEqual => value <= self.number,
            Sign::Greater => value > self.number,
            Sign::GreaterOrEqual => value >= self.number,
            Sign::Is => value == self.number,
            Sign::IsNot => value != self.number && !value.is_nan(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons() {
        let check = |text: &str, value: f64, expected: bool| {
            assert_eq!(Threshold::parse(text).expect("a threshold").holds(value), expected, "{value} {text}");
        };
        check("> 5", 5.0, false);
        check(">=5", 5.0, true);
        check(" < -0.5 ", -1.0, true);
        check("<= 1e3", 1000.0, true);
        check("== 0", 0.0, true);
        check("!= 0", f64::NAN, false);
        for text in ["5", "> five", "=> 5", "", "> inf", "> NaN"] {
            assert!(Threshold::parse(text).is_err(), "{text}");
        }
    }
}
