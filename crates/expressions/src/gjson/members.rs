//! Takes one level of a JSON text apart and leaves the parts as text.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Key (unescaped) and value (JSON text) of each member of an object, in order.
pub(crate) type Members<'j> = Vec<(String, &'j str)>;

/// The members of an object; `None` when `raw` is none.
pub(crate) fn members(raw: &str) -> Option<Members<'_>> {
    serde_json::from_str::<Ordered<'_>>(raw)
        .ok()
        .map(|ordered| ordered.0)
}

/// The elements of an array; `None` when `raw` is none.
pub(crate) fn elements(raw: &str) -> Option<Vec<&str>> {
    let items: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
    Some(items.into_iter().map(RawValue::get).collect())
}

struct Ordered<'j>(Members<'j>);

impl<'de: 'j, 'j> Deserialize<'de> for Ordered<'j> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OrderedVisitor).map(Ordered)
    }
}

struct OrderedVisitor;

impl<'de> Visitor<'de> for OrderedVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
            members.push((key, value.get()));
        }
        Ok(members)
    }
}
