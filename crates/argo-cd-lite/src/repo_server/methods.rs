//! The methods by the path of their requests.

use std::{sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::body::Incoming;
use prost::Message;
use tonic::{
    Code, Status, Streaming,
    body::Body,
    codegen::BoxFuture,
    server::{ClientStreamingService, Grpc, UnaryService},
};
use tonic_prost::ProstCodec;

use super::{
    error::CallError,
    messages::{Empty, HealthCheckRequest, HealthCheckResponse, PluginList},
    reach::Repositories,
};

/// Bytes of one request.
const MAX_REQUEST: usize = 16 << 20;
/// Bytes of one answer; the default of the callers.
const MAX_ANSWER: usize = 100 << 20;
/// Time of a call that brings no deadline, and longest one.
const DEADLINE: Duration = Duration::from_secs(300);
/// Prefix of the paths of the service.
const SERVICE: &str = "/repository.RepoServerService/";

/// Answers one request by its path.
pub(super) async fn route(
    repositories: Arc<Repositories>,
    request: Request<Incoming>,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if path == "/grpc.health.v1.Health/Check" {
        return unary(request, |_: HealthCheckRequest| async {
            // SERVING
            Ok(HealthCheckResponse { status: 1 })
        })
        .await;
    }
    let Some(method) = path.strip_prefix(SERVICE) else {
        return unimplemented(&path);
    };
    /// A method that is answered by a function of the repositories.
    macro_rules! methods {
        ($($name:literal => $function:ident),* $(,)?) => {
            match method {
                $($name => {
                    let answer = |message| async move { repositories.$function(message).await };
                    // On the heap: the state of a render is large.
                    Box::pin(unary(request, answer)).await
                })*
                "ListPlugins" => {
                    unary(request, |_: Empty| async { Ok(PluginList::default()) }).await
                }
                "GenerateManifestWithFiles" => {
                    let answer = |parts| async move {
                        repositories.generate_manifest_with_files(parts).await
                    };
                    Box::pin(streamed(request, answer)).await
                }
                _ => unimplemented(&path),
            }
        };
    }
    methods! {
        "GenerateManifest" => generate_manifest,
        "TestRepository" => test_repository,
        "ResolveRevision" => resolve_revision,
        "ListRefs" => list_refs,
        "ListOCITags" => list_oci_tags,
        "ListApps" => list_apps,
        "GetAppDetails" => app_details,
        "GetRevisionMetadata" => revision_metadata,
        "GetRevisionChartDetails" => chart_details,
        "GetOCIMetadata" => oci_metadata,
        "GetHelmCharts" => helm_charts,
        "GetGitFiles" => git_files,
        "GetGitDirectories" => git_directories,
        "GetOciFiles" => oci_files,
        "GetOciDirectories" => oci_directories,
        "UpdateRevisionForPaths" => update_revision_for_paths,
    }
}

fn unimplemented(path: &str) -> Response<Body> {
    Status::unimplemented(format!("{path} is not served")).into_http()
}

/// A function as a method of one answer, and of one request or a stream of its parts.
struct Method<F>(Option<F>, Duration);

impl<F> Method<F> {
    fn run<I, W, A>(&mut self, input: I) -> BoxFuture<tonic::Response<A>, Status>
    where
        F: FnOnce(I) -> W + Send + 'static,
        W: Future<Output = Result<A, CallError>> + Send + 'static,
        I: Send + 'static,
        A: Send + 'static,
    {
        let (function, deadline) = (self.0.take(), self.1);
        Box::pin(async move {
            let function = function.ok_or_else(|| Status::new(Code::Internal, "called twice"))?;
            match tokio::time::timeout(deadline, function(input)).await {
                Ok(answer) => Ok(tonic::Response::new(answer?)),
                Err(_) => Err(Status::deadline_exceeded("the call took too long")),
            }
        })
    }
}

impl<F, W, Q, A> UnaryService<Q> for Method<F>
where
    F: FnOnce(Q) -> W + Send + 'static,
    W: Future<Output = Result<A, CallError>> + Send + 'static,
    Q: Send + 'static,
    A: Send + 'static,
{
    type Response = A;
    type Future = BoxFuture<tonic::Response<A>, Status>;

    fn call(&mut self, request: tonic::Request<Q>) -> Self::Future {
        self.run(request.into_inner())
    }
}

impl<F, W, Q, A> ClientStreamingService<Q> for Method<F>
where
    F: FnOnce(Streaming<Q>) -> W + Send + 'static,
    W: Future<Output = Result<A, CallError>> + Send + 'static,
    Q: Send + 'static,
    A: Send + 'static,
{
    type Response = A;
    type Future = BoxFuture<tonic::Response<A>, Status>;

    fn call(&mut self, request: tonic::Request<Streaming<Q>>) -> Self::Future {
        self.run(request.into_inner())
    }
}

async fn unary<Q, A, F, W>(request: Request<Incoming>, function: F) -> Response<Body>
where
    Q: Message + Default + Send + 'static,
    A: Message + Send + 'static,
    F: FnOnce(Q) -> W + Send + 'static,
    W: Future<Output = Result<A, CallError>> + Send + 'static,
{
    let deadline = deadline_of(&request);
    let method = Method(Some(function), deadline);
    grpc::<Q, A>().unary(method, request).await
}

async fn streamed<Q, A, F, W>(request: Request<Incoming>, function: F) -> Response<Body>
where
    Q: Message + Default + Send + 'static,
    A: Message + Send + 'static,
    F: FnOnce(Streaming<Q>) -> W + Send + 'static,
    W: Future<Output = Result<A, CallError>> + Send + 'static,
{
    let deadline = deadline_of(&request);
    let method = Method(Some(function), deadline);
    grpc::<Q, A>().client_streaming(method, request).await
}

fn grpc<Q, A>() -> Grpc<ProstCodec<A, Q>>
where
    Q: Message + Default + Send + 'static,
    A: Message + Send + 'static,
{
    Grpc::new(ProstCodec::default())
        .apply_max_message_size_config(Some(MAX_REQUEST), Some(MAX_ANSWER))
}

/// The time that the caller waits, from `grpc-timeout`: a number and a unit.
fn deadline_of<B>(request: &Request<B>) -> Duration {
    let header = request.headers().get("grpc-timeout");
    let text = header.and_then(|value| value.to_str().ok());
    text.and_then(parse_timeout)
        .unwrap_or(DEADLINE)
        .min(DEADLINE)
}

fn parse_timeout(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number.checked_mul(3600)?),
        "M" => Duration::from_secs(number.checked_mul(60)?),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_of_callers_are_read() {
        assert_eq!(parse_timeout("5S"), Some(Duration::from_secs(5)));
        assert_eq!(
            parse_timeout("99999999m"),
            Some(Duration::from_millis(99_999_999))
        );
        for text in ["", "S", "5", "5x", "-1S", "99999999999999999999H"] {
            assert_eq!(parse_timeout(text), None, "{text}");
        }
    }
}
