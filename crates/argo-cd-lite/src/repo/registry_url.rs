//! URLs of OCI registries.

/// A registry's URL, written with or without `oci://`, in one form; `None` for what is no registry with a path.
pub(super) fn oci_url(url: &str) -> Option<String> {
    let url = url.trim();
    let rest = match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("oci") => rest,
        Some(_) => return None,
        None => url,
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    let fine = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
    let is_host = !host.is_empty()
        && host.chars().all(fine)
        && (host.contains('.') || host == "localhost" || authority.contains(':'))
        && !host.starts_with('.');
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if !is_host || !is_port || path.split('/').any(|part| part == "..") {
        return None;
    }
    let path = path.trim_matches('/');
    let authority = authority.to_ascii_lowercase();
    Some(if path.is_empty() {
        format!("oci://{authority}")
    } else {
        format!("oci://{authority}/{path}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_written_with_or_without_a_scheme() {
        for (url, expected) in [
            (
                "registry.example.com/charts",
                "oci://registry.example.com/charts",
            ),
            (
                "oci://Registry.example.com/charts/",
                "oci://registry.example.com/charts",
            ),
            ("localhost:5000/a/b", "oci://localhost:5000/a/b"),
            ("127.0.0.1:5000", "oci://127.0.0.1:5000"),
        ] {
            assert_eq!(oci_url(url).as_deref(), Some(expected), "{url}");
        }
        for url in [
            "charts",
            "/etc/passwd",
            "../a",
            "file:///etc",
            "ssh://git@host/a",
            "host.example.com/../a",
            "user@host.example.com/a",
            "",
        ] {
            assert_eq!(oci_url(url), None, "{url}");
        }
    }
}
