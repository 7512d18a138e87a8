//! What can be checked of an http trigger before its parameters are applied.

use http::{HeaderName, HeaderValue, Method};
use reconcile_core::object::FieldError;
use reqwest::Url;

use crate::{api::trigger::HttpTrigger, trigger::kind::check_sources};

pub(super) fn check(path: &str, action: &HttpTrigger) -> Result<(), FieldError> {
    let url_path = || format!("{path}.url");
    let patches_url = action.parameters.iter().any(|patch| patch.dest == "url");
    if !patches_url {
        if action.url.is_empty() {
            return Err(FieldError::new(url_path(), "must not be empty"));
        }
        let url = Url::parse(&action.url)
            .map_err(|error| FieldError::new(url_path(), error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FieldError::new(url_path(), "must be http or https"));
        }
    }
    method(path, action)?;
    check_headers(path, action)?;
    check_sources(&format!("{path}.payload"), &action.payload)?;
    let dynamic = format!("{path}.dynamicHeaders");
    check_sources(&dynamic, &action.dynamic_headers)?;
    for (index, parameter) in action.dynamic_headers.iter().enumerate() {
        // Without a destination a value of the payload becomes the body; a header needs its name.
        if parameter.dest.is_empty() {
            let path = format!("{dynamic}[{index}].dest");
            return Err(FieldError::new(path, "must not be empty"));
        }
    }
    Ok(())
}

/// Names of headers are tokens; values hold no control characters.
fn check_headers(path: &str, action: &HttpTrigger) -> Result<(), FieldError> {
    let name = |path: String, name: &str| match name.parse::<HeaderName>() {
        Ok(_) => Ok(()),
        Err(_) => Err(FieldError::new(
            path,
            format!("{name:?} is not the name of a header"),
        )),
    };
    for (header, text) in &action.headers {
        name(format!("{path}.headers"), header)?;
        if HeaderValue::from_str(text).is_err() {
            let path = format!("{path}.headers.{header}");
            return Err(FieldError::new(path, "must not hold control characters"));
        }
    }
    for (index, header) in action.secure_headers.iter().enumerate() {
        let path = format!("{path}.secureHeaders[{index}]");
        if header.name.is_empty() || header.value_from.is_none() {
            return Err(FieldError::new(path, "needs a name and valueFrom"));
        }
        name(format!("{path}.name"), &header.name)?;
    }
    for (index, parameter) in action.dynamic_headers.iter().enumerate() {
        if !parameter.dest.is_empty() {
            name(
                format!("{path}.dynamicHeaders[{index}].dest"),
                &parameter.dest,
            )?;
        }
    }
    Ok(())
}

/// The method of the trigger at `path`; POST when it names none.
pub(super) fn method(path: &str, action: &HttpTrigger) -> Result<Method, FieldError> {
    Ok(match action.method.as_deref() {
        None | Some("" | "POST") => Method::POST,
        Some("GET") => Method::GET,
        Some("PUT") => Method::PUT,
        Some("PATCH") => Method::PATCH,
        Some("DELETE") => Method::DELETE,
        Some("HEAD") => Method::HEAD,
        Some("OPTIONS") => Method::OPTIONS,
        Some(other) => {
            let message = format!("{other:?} is not an HTTP method");
            return Err(FieldError::new(format!("{path}.method"), message));
        }
    })
}
