//! One line per target.

mod bus_config;
mod chart_archive;
mod chart_index;
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
mod hook_request;
mod jsonpath;
mod oci_manifest;
mod prometheus_answer;
mod quantities;
mod redis_reply;
mod selector;
mod sns_certificate;
mod sync_options;
mod webhook_payload;
mod webhook_request;
mod yaml;
