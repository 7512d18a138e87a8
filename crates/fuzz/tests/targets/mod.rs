//! One line per target.

mod conditions;
mod cron;
mod event;
mod expr;
mod git_revision;
mod git_url;
mod gjson;
mod glob;
mod go_template;
mod govaluate;
mod jsonpath;
mod quantities;
mod selector;
mod sync_options;
mod webhook_payload;
mod yaml;
