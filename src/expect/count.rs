//! Counts: a number means exactly that many, a text is a comparison.

use std::fmt;

/// How a number is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
    /// `>`
    MoreThan,
    /// `<`
    LessThan,
}

/// A condition on a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Count {
    /// The comparison.
    pub comparison: Comparison,
    /// What is compared with.
    pub number: i64,
}

const SIGNS: [(&str, Comparison); 7] = [
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    (">", Comparison::MoreThan),
    ("<", Comparison::LessThan),
    ("=", Comparison::Equal),
];

impl Count {
    /// Exactly `number`.
    pub const fn exactly(number: i64) -> Self {
        Self { comparison: Comparison::Equal, number }
    }

    /// `number` or more.
    pub const fn at_least(number: i64) -> Self {
        Self { comparison: Comparison::AtLeast, number }
    }

    /// Reads `3`, `>= 3`, `< 5`, `!= 0`.
    ///
    /// # Errors
    /// A sentence that says what is wrong, for a diagnostic.
    pub fn parse(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let (comparison, rest) = SIGNS
            .iter()
            .find_map(|(sign, c)| trimmed.strip_prefix(sign).map(|rest| (*c, rest)))
            .unwrap_or((Comparison::Equal, trimmed));
        let number = rest
            .trim()
            .parse()
            .map_err(|_| format!("`{text}` is neither a number nor a comparison such as `\">= 3\"`"))?;
        Ok(Self { comparison, number })
    }

    /// Reads `1.25`, `<= 0.5`: a number of at most so many digits after the point, as a whole number of the smallest unit.
    ///
    /// # Errors
    /// A sentence that says what is wrong, for a diagnostic.
    pub fn parse_decimal(text: &str, digits: u32) -> Result<Self, String> {
        let trimmed = text.trim();
        let number_at = trimmed.find(|c: char| c.is_ascii_digit() || c == '-' || c == '.').unwrap_or(0);
        let (sign, number) = trimmed.split_at(number_at);
        let (whole, rest) = number.split_once('.').unwrap_or((number, ""));
        if rest.len() > digits as usize || !rest.chars().all(|c| c.is_ascii_digit()) || whole.is_empty() {
            return Err(format!(
                "`{text}` is neither a number of at most {digits} decimals nor a comparison such as `\"<= 1.25\"`"
            ));
        }
        Self::parse(&format!("{sign}{whole}{rest:0<width$}", width = digits as usize))
    }

    /// As it was written, if it was read by [`Self::parse_decimal`].
    pub fn scaled(self, digits: u32) -> String {
        let number = super::cost::decimal(self.number, digits);
        let written = Self { number: 0, ..self }.to_string();
        format!("{}{number}", written.strip_suffix('0').unwrap_or_default())
    }

    /// Whether `number` satisfies it.
    pub const fn holds(self, number: i64) -> bool {
        match self.comparison {
            Comparison::Equal => number == self.number,
            Comparison::NotEqual => number != self.number,
            Comparison::AtLeast => number >= self.number,
            Comparison::AtMost => number <= self.number,
            Comparison::MoreThan => number > self.number,
            Comparison::LessThan => number < self.number,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.comparison {
            Comparison::Equal => return write!(f, "{}", self.number),
            Comparison::NotEqual => "!=",
            Comparison::AtLeast => ">=",
            Comparison::AtMost => "<=",
            Comparison::MoreThan => ">",
            Comparison::LessThan => "<",
        };
        write!(f, "{sign} {}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_numbers_or_comparisons() {
        for (text, yes, no) in [
            ("3", 3, 4),
            (">= 3", 3, 2),
            (">=3", 4, 2),
            ("<= 3", 3, 4),
            ("> 3", 4, 3),
            ("< 3", 2, 3),
            ("!= 3", 2, 3),
            ("== 3", 3, 2),
            ("= 3", 3, 2),
            ("-1", -1, 1),
        ] {
            let count = Count::parse(text).unwrap();
            assert!(count.holds(yes) && !count.holds(no), "{text}");
            assert_eq!(Count::parse(&count.to_string()), Ok(count), "{text}");
        }
        for (text, digits, number, told) in
            [("<= 1.25", 5, 125_000, "<= 1.25"), ("3", 3, 3000, "3.00"), (">0.0005", 5, 50, "> 0.0005")]
        {
            let count = Count::parse_decimal(text, digits).unwrap();
            assert_eq!((count.number, count.scaled(digits)), (number, told.to_owned()), "{text}");
        }
        for text in ["", "<= .5", "1.2345", "1.x", "one"] {
            assert!(Count::parse_decimal(text, 3).is_err(), "{text}");
        }
        for text in ["", ">=", "three", "3 pods", ">> 3", "1.5"] {
            assert!(Count::parse(text).is_err(), "{text}");
        }
    }
}
