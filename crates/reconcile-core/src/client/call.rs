//! What a request does, read from method and URL.
//!
//! The fence relies on this reading, so whatever is not surely a read counts as a write.

use http::{HeaderMap, Method, Uri, header::UPGRADE};

/// How a request runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestClass {
    /// One answer, with a deadline; sent again when the server is busy.
    Unary,
    /// An answer without end, such as a watch; whoever reads it sets the pace.
    Stream,
    /// The connection changes to another protocol, as for `exec` and `port-forward`.
    Upgrade,
}

/// A request by its meaning.
pub(super) struct Call {
    pub(super) verb: &'static str,
    /// The resource, with its subresource.
    pub(super) resource: String,
    pub(super) writes: bool,
    pub(super) class: RequestClass,
}

/// Creates that ask something and change nothing, by API group, resource and subresource.
const QUESTIONS: &[(&str, &str, &str)] = &[
    ("authorization.k8s.io", "subjectaccessreviews", ""),
    ("authorization.k8s.io", "localsubjectaccessreviews", ""),
    ("authorization.k8s.io", "selfsubjectaccessreviews", ""),
    ("authorization.k8s.io", "selfsubjectrulesreviews", ""),
    ("authentication.k8s.io", "tokenreviews", ""),
    ("authentication.k8s.io", "selfsubjectreviews", ""),
    ("", "serviceaccounts", "token"),
];
/// Subresources that open a way into a pod, whatever the method is.
const CONNECTS: &[&str] = &["exec", "attach", "portforward"];

impl Call {
    pub(super) fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let path = ResourcePath::of(uri.path());
        let query = uri.query().unwrap_or_default();
        let connects = CONNECTS.contains(&path.subresource);
        let verb = match *method {
            Method::GET if is_set(query, "watch") => "watch",
            Method::GET if path.named => "get",
            Method::GET => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "other",
        };
        let reads = matches!(verb, "watch" | "get" | "list") && !connects;
        let class = if connects || headers.contains_key(UPGRADE) {
            RequestClass::Upgrade
        } else if reads && (verb == "watch" || path.is_log() && is_set(query, "follow")) {
            RequestClass::Stream
        } else {
            RequestClass::Unary
        };
        Self {
            verb,
            writes: !reads && !path.is_question(verb) && !is_dry_run(verb, &path, query),
            resource: path.to_string(),
            class,
        }
    }
}

/// The parts of an API path.
#[derive(Debug, Default, PartialEq, Eq)]
struct ResourcePath<'p> {
    group: &'p str,
    resource: &'p str,
    subresource: &'p str,
    /// It names one object.
    named: bool,
    /// Nothing else is in the path.
    exact: bool,
}

impl<'p> ResourcePath<'p> {
    fn of(path: &'p str) -> Self {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let group = match parts.next() {
            Some("api") => {
                parts.next();
                ""
            }
            Some("apis") => {
                let group = parts.next();
                parts.next();
                group.unwrap_or_default()
            }
            _ => {
                return Self {
                    resource: "other",
                    named: true,
                    ..Self::default()
                };
            }
        };
        let rest: Vec<&str> = parts.collect();
        let rest = match rest.as_slice() {
            ["namespaces", _, tail @ ..]
                if !tail.is_empty() && tail[0] != "status" && tail[0] != "finalize" =>
            {
                tail
            }
            all => all,
        };
        // A server may read an escaped or unclean path otherwise than it is read here.
        let clean = !path.contains('%') && !path.contains("//") && !path.contains("/.");
        let (resource, subresource) = match rest {
            [] => ("discovery", ""),
            [resource] | [resource, _] => (*resource, ""),
            [resource, _, subresource, ..] => (*resource, *subresource),
        };
        Self {
            group,
            resource,
            subresource,
            named: rest.len() > 1,
            exact: clean && (1..=3).contains(&rest.len()),
        }
    }

    fn is_question(&self, verb: &str) -> bool {
        // A review is created without a name, a token below one.
        let in_place = self.named != self.subresource.is_empty();
        let asked = (self.group, self.resource, self.subresource);
        verb == "create" && self.exact && in_place && QUESTIONS.contains(&asked)
    }

    fn is_log(&self) -> bool {
        (self.group, self.resource, self.subresource) == ("", "pods", "log")
    }
}

impl std::fmt::Display for ResourcePath<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.resource)?;
        if !self.subresource.is_empty() {
            write!(f, "/{}", self.subresource)?;
        }
        Ok(())
    }
}

/// The values of a query parameter.
fn values<'q>(query: &'q str, name: &str) -> impl Iterator<Item = &'q str> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter_map(move |(key, value)| (key == name).then_some(value))
}

/// A boolean parameter, as the API server reads it: the first value counts, and all but `false` and `0` are true.
fn is_set(query: &str, name: &str) -> bool {
    values(query, name)
        .next()
        .is_some_and(|value| !value.eq_ignore_ascii_case("false") && value != "0")
}

/// True when the server surely changes nothing.
///
/// A delete takes its options from its body and ignores the query then, and a proxy passes the query to another
/// server; so there the parameter proves nothing.
fn is_dry_run(verb: &str, path: &ResourcePath<'_>, query: &str) -> bool {
    let mut given = values(query, "dryRun").peekable();
    matches!(verb, "create" | "update" | "patch")
        && path.subresource != "proxy"
        && !CONNECTS.contains(&path.subresource)
        && given.peek().is_some()
        && given.all(|value| value == "All")
}
