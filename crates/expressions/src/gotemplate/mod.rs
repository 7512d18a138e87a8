//! Go text templates with the sprig functions: `dataTemplate` and `contextTemplate` of sensor
//! parameters, `template` of data filters.
//!
//! The engine is the crate `gotmpl`; here it gets the functions of [`crate::sprig`] and bounds:
//! length of the template, loops, size of all values, size of the output.

mod nesting;
mod printing;
mod rewrite;

use std::fmt;

use jiff::Timestamp;

use crate::sprig;
use nesting::MAX_NESTING;
use printing::FUNCTIONS;

/// Longer templates are refused.
pub const MAX_LENGTH: usize = 64 * 1024;

/// Longer output is refused; an event payload is 1 MiB at most by default.
pub const MAX_OUTPUT: usize = 4 * 1024 * 1024;

/// Rounds that all `range` loops of one rendering may take together.
const MAX_ROUNDS: u64 = 100_000;

/// Name of the outer template; it shows up in messages.
const NAME: &str = "template";

/// Put behind the text, to see whether the engine has read all of it: it takes a stray
/// `{{ end }}` for the end of the text.
const END_MARK: char = '\u{1}';

/// Why a template gave no text.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TemplateError {
    /// The text is no template.
    #[error("template cannot be parsed: {0}")]
    Parse(String),
    /// The template failed on its data.
    #[error("template failed: {0}")]
    Render(String),
    /// The template is longer than [`MAX_LENGTH`].
    #[error("template is longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// Blocks are nested too deeply.
    #[error("template is nested deeper than {MAX_NESTING} levels")]
    TooDeep,
    /// The output is longer than [`MAX_OUTPUT`].
    #[error("template makes more than {MAX_OUTPUT} bytes")]
    OutputTooLong,
}

/// A parsed template.
pub struct Template {
    inner: gotmpl::Template,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").finish_non_exhaustive()
    }
}

impl Template {
    /// Parses a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_LENGTH {
            return Err(TemplateError::TooLong);
        }
        if nesting::nesting(text) > MAX_NESTING {
            return Err(TemplateError::TooDeep);
        }
        let inner = gotmpl::Template::new(NAME)
            .funcs(FUNCTIONS.clone())
            .max_range_iters(MAX_ROUNDS)
            .parse(&format!("{text}{END_MARK}"))
            .map_err(|error| TemplateError::Parse(error.to_string()))?;
        Ok(Self {
            inner: rewrite::rewritten(inner)?,
        })
    }

    /// Renders the template on JSON data; `now` is not offered, see [`Template::render_at`].
    pub fn render(&self, data: &serde_json::Value) -> Result<String, TemplateError> {
        self.render_value(data, None)
    }

    /// Renders the template with a clock that is stopped at `now`.
    pub fn render_at(
        &self,
        data: &serde_json::Value,
        now: Timestamp,
    ) -> Result<String, TemplateError> {
        self.render_value(data, Some(now))
    }

    fn render_value(
        &self,
        data: &serde_json::Value,
        now: Option<Timestamp>,
    ) -> Result<String, TemplateError> {
        sprig::begin(now);
        let mut out = Bounded {
            text: String::new(),
            overflown: false,
        };
        let result = self
            .inner
            .execute_template_fmt(&mut out, NAME, &sprig::from_json(data));
        if out.overflown {
            return Err(TemplateError::OutputTooLong);
        }
        result.map_err(|error| TemplateError::Render(error.to_string()))?;
        Ok(out.text)
    }
}

/// Collects output up to the bound.
struct Bounded {
    text: String,
    overflown: bool,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.text.len() + part.len() > MAX_OUTPUT {
            self.overflown = true;
            return Err(fmt::Error);
        }
        self.text.push_str(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
