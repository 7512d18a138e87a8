//! `intstr.IntOrString` where it counts things: an absolute number or a share of a total.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number or a text, as the API server stores it. The text is usually a percentage.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// An absolute number.
    Int(i32),
    /// A text, for example `25%` or the name of a port.
    String(String),
}

/// Which way a share that is not whole goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// To the next larger whole number (surge, minimum available).
    Up,
    /// To the next smaller whole number (unavailable).
    Down,
}

/// Why a value cannot be turned into a number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntOrStringError {
    /// A text without the percent sign, in a place that insists on it.
    #[error("invalid value for IntOrString: invalid type: string is not a percentage")]
    NotAPercentage,
    /// What precedes the percent sign is not a whole number.
    #[error("invalid value for IntOrString: invalid value {0:?}: invalid syntax")]
    NotANumber(String),
}

impl IntOrString {
    /// The number of things meant out of `total`, where **any text is a percentage**.
    ///
    /// This is the older upstream rule (`intstr.GetValueFromIntOrPercent`) that Rollouts uses for
    /// `maxSurge` and `maxUnavailable`: all percent signs are dropped, so `"50"` means half.
    pub fn resolve(&self, total: i32, round: Round) -> Result<i32, IntOrStringError> {
        match self {
            Self::Int(number) => Ok(*number),
            Self::String(text) => share(&text.replace('%', ""), text, total, round),
        }
    }

    /// The number of things meant out of `total`, where a text must end with the percent sign
    /// (`intstr.GetScaledValueFromIntOrPercent`).
    pub fn resolve_strict(&self, total: i32, round: Round) -> Result<i32, IntOrStringError> {
        match self {
            Self::Int(number) => Ok(*number),
            Self::String(text) => {
                let digits = text
                    .strip_suffix('%')
                    .ok_or(IntOrStringError::NotAPercentage)?;
                share(digits, text, total, round)
            }
        }
    }

    /// The number in a field where text holds a plain number (`"10"` as `10`).
    pub fn as_int(&self) -> Option<i32> {
        match self {
            Self::Int(number) => Some(*number),
            Self::String(text) => text.parse().ok(),
        }
    }

    /// True for a text with a percent sign at its end.
    pub fn is_percentage(&self) -> bool {
        matches!(self, Self::String(text) if text.ends_with('%'))
    }
}

fn share(digits: &str, text: &str, total: i32, round: Round) -> Result<i32, IntOrStringError> {
    let percent: i64 = digits
        .parse()
        .map_err(|_| IntOrStringError::NotANumber(text.to_owned()))?;
    let product = i128::from(percent) * i128::from(total);
    let whole = match round {
        Round::Down => product.div_euclid(100),
        Round::Up => -(-product).div_euclid(100),
    };
    let limit = if whole < 0 { i32::MIN } else { i32::MAX };
    Ok(i32::try_from(whole).unwrap_or(limit))
}

impl From<i32> for IntOrString {
    fn from(number: i32) -> Self {
        Self::Int(number)
    }
}

impl From<&str> for IntOrString {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl fmt::Display for IntOrString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => write!(f, "{number}"),
            Self::String(text) => f.write_str(text),
        }
    }
}
