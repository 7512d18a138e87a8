//! The languages users write inside Argo manifests, as pure functions: no Kubernetes, no clock,
//! no network, no async.
//!
//! ```text
//! manifest field                               language            module
//! ---------------------------------------------------------------------------------
//! AnalysisTemplate successCondition, failure.. expr                [`analysis`]
//! AnalysisTemplate {{args.x}}                  tags in JSON text   [`arguments`]
//! AnalysisTemplate web jsonPath                client-go JSONPath  [`jsonpath`]
//! EventSource filter.expression                expr with sprig     [`filter`]
//! EventSource calendar schedule                robfig cron         [`cron`]
//! Sensor trigger conditions                    names, &&, ||, ()   [`conditions`]
//! Sensor filters.data path, parameters dataKey gjson paths         [`gjson`]
//! Sensor filters.exprs                         govaluate           [`govaluate`]
//! Sensor parameters dest                       sjson paths         [`sjson`]
//! Sensor dataTemplate, contextTemplate         Go template, sprig  [`gotemplate`], [`sprig`]
//! AppProject sourceRepos, destinations         gobwas globs        [`glob`]
//! argocd-cm health checks and actions          Lua 5.1             `lua` (feature `lua`)
//! Sensor filters.script, transform.script      Lua 5.1             `lua` (feature `lua`)
//! Sensor transform.jq, jqPathExpressions       jq                  [`jq`]
//! ```
//!
//! [`go_text`] holds what several of them share: how Go prints floats, JSON, durations and times;
//! [`pattern`] compiles regular expressions within bounds.
//!
//! Three rules hold everywhere:
//!
//! * **Bounded.** Each language limits the length and the depth of what is written in it, and the
//!   work and the size of what it makes. The limits are constants beside the code.
//! * **No panic** on any input; property tests try.
//! * **Go's answers.** `tests/baseline` holds the recorded answers of the Go libraries for many
//!   hundred cases; where ours differ on purpose, the case is listed there with the reason.
//!
//! Errors are written for the author of the manifest: they quote the text and name the place.

pub mod arguments;
pub mod conditions;
pub mod cron;
pub mod expr;
pub mod gjson;
pub mod glob;
pub mod go_text;
pub mod gotemplate;
pub mod govaluate;
pub mod jq;
pub mod jsonpath;
#[cfg(feature = "lua")]
pub mod lua;
pub mod pattern;
pub mod sjson;
pub mod sprig;

pub use expr::{analysis, filter};
