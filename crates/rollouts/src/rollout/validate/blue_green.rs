//! The blue-green strategy.

use super::{Checked, DEFAULT_DELAY, not_negative, seconds, wrong};
use crate::{api::rollout::BlueGreenStrategy, rollout::observed::BlueGreen};

pub(super) fn check(rules: BlueGreenStrategy, history: i32) -> Checked<BlueGreen> {
    const AT: &str = "spec.strategy.blueGreen";
    if rules.active_service.is_empty() {
        return wrong(format!("{AT}.activeService"), "Required value");
    }
    let preview = rules.preview_service.filter(|name| !name.is_empty());
    if preview.as_ref() == Some(&rules.active_service) {
        return wrong(
            format!("{AT}.activeService"),
            format!(
                "Invalid value: \"{}\": This rollout uses the same service for the active and preview services, but two different services are required.",
                rules.active_service
            ),
        );
    }
    for (name, number) in [
        ("previewReplicaCount", rules.preview_replica_count),
        ("autoPromotionSeconds", rules.auto_promotion_seconds),
        ("scaleDownDelaySeconds", rules.scale_down_delay_seconds),
        (
            "scaleDownDelayRevisionLimit",
            rules.scale_down_delay_revision_limit,
        ),
        (
            "abortScaleDownDelaySeconds",
            rules.abort_scale_down_delay_seconds,
        ),
    ] {
        not_negative(&format!("{AT}.{name}"), number.unwrap_or_default())?;
    }
    if let Some(limit) = rules
        .scale_down_delay_revision_limit
        .filter(|limit| *limit > history)
    {
        return wrong(
            format!("{AT}.scaleDownDelayRevisionLimit"),
            format!("Invalid value: {limit}: must not exceed revisionHistoryLimit ({history})"),
        );
    }
    let abort_delay = rules
        .abort_scale_down_delay_seconds
        .unwrap_or(DEFAULT_DELAY);
    let auto_promotion = rules.auto_promotion_enabled.unwrap_or(true);
    Ok(BlueGreen {
        active: rules.active_service,
        preview,
        preview_replicas: rules.preview_replica_count,
        auto_promotion,
        // Who asks for a person waits for one, however long that takes.
        auto_promotion_delay: rules
            .auto_promotion_seconds
            .filter(|number| auto_promotion && *number > 0)
            .map(seconds),
        scale_down_delay: seconds(rules.scale_down_delay_seconds.unwrap_or(DEFAULT_DELAY)),
        scale_down_delay_set: rules.scale_down_delay_seconds.is_some(),
        scale_down_limit: rules.scale_down_delay_revision_limit,
        abort_delay: (abort_delay > 0).then(|| seconds(abort_delay)),
        pre_analysis: rules.pre_promotion_analysis,
        post_analysis: rules.post_promotion_analysis,
    })
}
