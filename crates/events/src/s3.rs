//! Addresses of buckets.

use reconcile_core::object::FieldError;
use reqwest::Url;

use crate::{api::artifact::S3Artifact, aws::Service, http_client::address};

/// Amazon's own endpoint, which knows buckets of one region only.
const AMAZON: &str = "s3.amazonaws.com";
const DEFAULT_REGION: &str = "us-east-1";

/// A bucket on a server.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    /// Of the server; its path is empty.
    endpoint: Url,
    pub(crate) name: String,
    region: String,
}

impl Bucket {
    /// Checks the bucket at `path`.
    pub(crate) fn check(path: &str, artifact: &S3Artifact) -> Result<Self, FieldError> {
        let wrong =
            |field: &str, message: String| FieldError::new(format!("{path}.{field}"), message);
        let plain = |text: &str, more: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
            !text.is_empty() && text.chars().all(known)
        };
        let region = match artifact.region.as_str() {
            "" => DEFAULT_REGION,
            region => region,
        };
        if !plain(region, "-") {
            return Err(wrong("region", format!("{region:?} is not a region")));
        }
        let name = &artifact.bucket.name;
        if !plain(name, "-._") || name.trim_matches('.').is_empty() {
            return Err(wrong(
                "bucket.name",
                format!("{name:?} is not the name of a bucket"),
            ));
        }
        let host = match artifact.endpoint.as_str() {
            "" | AMAZON => format!("s3.{region}.amazonaws.com"),
            host => host.to_owned(),
        };
        let endpoint = address(host.strip_suffix('/').unwrap_or(&host), !artifact.insecure);
        let message = || format!("{:?} is not HOST or HOST:PORT", artifact.endpoint);
        Ok(Self {
            endpoint: endpoint.ok_or_else(|| wrong("endpoint", message()))?,
            name: name.clone(),
            region: region.to_owned(),
        })
    }

    /// URL of an object, or of the bucket where `key` is empty.
    pub(crate) fn url(&self, key: &str) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().push(&self.name);
            if !key.is_empty() {
                path.extend(key.split('/'));
            }
        }
        url
    }

    /// Whom requests are signed for.
    pub(crate) fn service(&self) -> Service<'_> {
        Service {
            name: "s3",
            region: &self.region,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(artifact: serde_json::Value) -> Result<Bucket, FieldError> {
        let artifact = serde_json::from_value(artifact).expect("an artifact");
        Bucket::check("s3", &artifact)
    }

    #[test]
    fn an_object_stays_inside_of_its_bucket() {
        let amazon = check(json!({"bucket": {"name": "b"}, "region": "eu-west-1"})).expect("good");
        assert_eq!(
            amazon.url("a/b c.yaml").as_str(),
            "https://s3.eu-west-1.amazonaws.com/b/a/b%20c.yaml"
        );
        let own = json!({"bucket": {"name": "b"}, "endpoint": "minio.shop:9000", "insecure": true});
        let own = check(own).expect("good");
        assert_eq!(own.url("").as_str(), "http://minio.shop:9000/b");
        // Segments that would leave the bucket are dropped.
        assert_eq!(own.url("../../x").as_str(), "http://minio.shop:9000/b/x");
        assert_eq!(
            own.url("a?b#c").as_str(),
            "http://minio.shop:9000/b/a%3Fb%23c"
        );
        for (wrong, field) in [
            (json!({"bucket": {"name": "a/b"}}), "s3.bucket.name"),
            (json!({"bucket": {"name": ".."}}), "s3.bucket.name"),
            (
                json!({"bucket": {"name": "b"}, "region": "eu.evil.org/"}),
                "s3.region",
            ),
            (
                json!({"bucket": {"name": "b"}, "endpoint": "u:p@h"}),
                "s3.endpoint",
            ),
            (
                json!({"bucket": {"name": "b"}, "endpoint": "h/path"}),
                "s3.endpoint",
            ),
        ] {
            assert_eq!(check(wrong).expect_err("refused").path, field);
        }
    }
}
