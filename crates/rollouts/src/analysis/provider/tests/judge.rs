//! Conditions.

use expressions::analysis::AnalysisValue;

use super::super::judge::judge;
use crate::api::analysis::Metric;

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn conditions_combine_as_documented() {
    let now = "2026-01-01T00:00:00Z".parse().expect("a time");
    let one = AnalysisValue::Floats(vec![0.5]);
    for (success, failure, verdict) in [
        (None, None, Some("Successful")),
        (Some("result[0] < 1"), None, Some("Successful")),
        (Some("result[0] > 1"), None, Some("Failed")),
        (None, Some("result[0] < 1"), Some("Failed")),
        (None, Some("result[0] > 1"), Some("Successful")),
        (Some("result[0] < 1"), Some("result[0] < 1"), Some("Failed")),
        (
            Some("result[0] < 1"),
            Some("result[0] > 1"),
            Some("Successful"),
        ),
        (
            Some("result[0] > 1"),
            Some("result[0] > 1"),
            Some("Inconclusive"),
        ),
        (Some("result[0] > 1"), Some("result[0] < 1"), Some("Failed")),
        (Some(""), Some(""), Some("Successful")),
        // A list is no number, a number is no verdict, an index may be out of range, a name unknown.
        (Some("result > 1"), None, None),
        (Some("result[0]"), None, None),
        (Some("result[1] > 0"), None, None),
        (Some("results[0] > 0"), None, None),
        (Some("result[0] >"), None, None),
        // Expressions seen in the wild.
        (Some("all(result, # < 1)"), None, Some("Successful")),
        (Some("any(result, {# > 1})"), None, Some("Failed")),
        (Some("0.5 in result"), None, Some("Successful")),
        (
            Some("max(result) <= 0.5 && min(result) >= 0.5"),
            None,
            Some("Successful"),
        ),
        (
            Some("len(result) > 0 and asInt(result[0]) == 0"),
            None,
            Some("Successful"),
        ),
        (Some("default(result, 0) != nil"), None, Some("Successful")),
        (
            Some("isNaN(result[0]) || result[0] > 0.95"),
            None,
            Some("Failed"),
        ),
        (
            Some("isInf(result[0]) or isNil(result)"),
            None,
            Some("Failed"),
        ),
        (
            Some("filter(result, # > 0.1)[0] == 0.5"),
            None,
            Some("Successful"),
        ),
        (
            Some("sum(result) / len(result) == mean(result)"),
            None,
            Some("Successful"),
        ),
        (
            Some("(result[0] ?? 1) < 1 ? true : false"),
            None,
            Some("Successful"),
        ),
        (
            Some("result | count(# == 0.5) == 1"),
            None,
            Some("Successful"),
        ),
        (Some("not (result[0] > 1)"), None, Some("Successful")),
        (Some("now().Year() == 2026"), None, Some("Successful")),
    ] {
        let metric = Metric {
            success_condition: success.map(str::to_owned),
            failure_condition: failure.map(str::to_owned),
            ..Metric::default()
        };
        let found = judge(&one, &metric, now).map(|phase| phase.to_string());
        assert_eq!(
            found.as_deref().ok(),
            verdict,
            "{success:?} {failure:?}: {found:?}"
        );
    }
}
