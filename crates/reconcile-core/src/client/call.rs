//! What a request does, read from method and URL.

use http::Method;

/// A request by its meaning.
pub(super) struct Call {
    pub(super) verb: &'static str,
    /// The resource, with its subresource.
    pub(super) resource: String,
    pub(super) writes: bool,
}

impl Call {
    pub(super) fn of(method: &Method, uri: &http::Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        let (resource, named) = resource_of(uri.path());
        let has = |flag: &str| query.split('&').any(|part| part == flag);
        let verb = match *method {
            Method::GET if has("watch=true") || has("watch=1") => "watch",
            Method::GET if named => "get",
            Method::GET => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "other",
        };
        // Reviews and tokens are questions in the form of a create; a dry run changes nothing.
        let question = resource.ends_with("reviews") || resource.ends_with("/token");
        let writes = !matches!(verb, "watch" | "get" | "list") && !question && !has("dryRun=All");
        Self {
            verb,
            resource,
            writes,
        }
    }
}

/// The resource (with subresource) of an API path, and whether the path names one object.
fn resource_of(path: &str) -> (String, bool) {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    match parts.next() {
        Some("api") => drop(parts.next()),
        Some("apis") => drop((parts.next(), parts.next())),
        _ => return ("other".to_owned(), true),
    }
    let rest: Vec<&str> = parts.collect();
    let rest = match rest.as_slice() {
        ["namespaces", _, tail @ ..]
            if !tail.is_empty() && tail[0] != "status" && tail[0] != "finalize" =>
        {
            tail
        }
        all => all,
    };
    match rest {
        [] => ("discovery".to_owned(), false),
        [resource] => ((*resource).to_owned(), false),
        [resource, _] => ((*resource).to_owned(), true),
        [resource, _, sub, ..] => (format!("{resource}/{sub}"), true),
    }
}
