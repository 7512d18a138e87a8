//! Numbers as upstream's providers print them.

/// Without an exponent and with as many digits as it needs, as Go's `FormatFloat(x, 'f', -1, 64)`.
pub(super) fn plain(float: f64) -> String {
    if float.is_infinite() {
        if float > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        float.to_string()
    }
}

/// With `digits` digits after the point, as Go's `%.2f`.
pub(super) fn fixed(float: f64, digits: usize) -> String {
    if float.is_finite() {
        format!("{float:.digits$}")
    } else {
        plain(float)
    }
}

/// Several numbers in brackets.
pub(super) fn list(texts: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", texts.into_iter().collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_in_go() {
        assert_eq!(plain(1e21), "1000000000000000000000");
        assert_eq!(plain(0.25), "0.25");
        assert_eq!(plain(f64::INFINITY), "+Inf");
        assert_eq!(plain(f64::NAN), "NaN");
        assert_eq!(fixed(10.0, 6), "10.000000");
        assert_eq!(fixed(f64::NEG_INFINITY, 2), "-Inf");
    }
}
