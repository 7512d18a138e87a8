//! Exact match of context attributes.

use crate::{api::sensor::ContextFilter, event::CloudEvent};

pub(super) fn admit(filter: &ContextFilter, event: &CloudEvent) -> Result<(), String> {
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
    for (name, wanted, actual) in pairs {
        if !wanted.is_empty() && wanted != actual {
            return Err(format!("context {name} is {actual:?}, not {wanted:?}"));
        }
    }
    Ok(())
}
