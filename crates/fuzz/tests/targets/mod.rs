//! One line per target.

mod bus_config;
mod conditions;
mod cron;
mod event;
mod event_parameters;
mod expr;
mod git_revision;
mod git_url;
mod gjson;
mod glob;
mod go_template;
mod govaluate;
mod jsonpath;
mod prometheus_answer;
mod quantities;
mod selector;
mod sync_options;
mod webhook_payload;
mod webhook_request;
mod yaml;
