//! Exact match of context attributes.

use super::Refusal;
use crate::{api::sensor::ContextFilter, event::CloudEvent};

pub(super) fn admit(filter: &ContextFilter, event: &CloudEvent) -> Result<(), Refusal> {
    let pairs = [
        ("type", &filter.type_, &event.type_),
        ("subject", &filter.subject, &event.subject),
        ("source", &filter.source, &event.source),
        (
            "datacontenttype",
            &filter.datacontenttype,
            &event.datacontenttype,
        ),
    ];
    for (attribute, wanted, actual) in pairs {
        if !wanted.is_empty() && wanted != actual {
            return Err(Refusal::Context {
                attribute,
                actual: actual.clone(),
                wanted: wanted.clone(),
            });
        }
    }
    Ok(())
}
