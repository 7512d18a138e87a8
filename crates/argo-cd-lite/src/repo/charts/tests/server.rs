//! A server of files on this machine that notes what it is asked.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode, header},
    serve::Listener,
};
use flate2::{Compression, write::GzEncoder};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

/// What the server answers at a path.
#[derive(Clone, Default)]
pub(crate) struct Page {
    pub(crate) body: Vec<u8>,
    /// Redirects there.
    pub(crate) location: Option<String>,
    /// The header `Authorization` that is needed.
    pub(crate) authorization: Option<String>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Page {
    pub(crate) fn of(body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..Self::default()
        }
    }

    pub(crate) fn moved(location: &str) -> Self {
        Self {
            location: Some(location.to_owned()),
            ..Self::default()
        }
    }
}

/// One request: path with query, the header `Authorization`, and the answer's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) status: u16,
}

#[derive(Clone, Default)]
struct ServerState {
    pages: Arc<Mutex<BTreeMap<String, Page>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A server. It ends with the test.
pub(crate) struct Server {
    shared: ServerState,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        Self::on(listener.expect("a port"))
    }

    /// Serves on a listener, which may speak TLS.
    pub(crate) fn on<L>(listener: L) -> Self
    where
        L: Listener<Addr = SocketAddr>,
    {
        let shared = ServerState::default();
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(answer).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { shared, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn put(&self, path: &str, page: Page) -> &Self {
        self.shared.pages.lock().insert(path.to_owned(), page);
        self
    }

    /// The requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().clone()
    }

    /// How often `path` was answered with `status`.
    pub(crate) fn count(&self, path: &str, status: u16) -> usize {
        let asked = self.asked();
        let same = |one: &&Asked| one.path == path && one.status == status;
        asked.iter().filter(same).count()
    }
}

async fn answer(State(shared): State<ServerState>, request: Request) -> Response<Body> {
    let path = request.uri().to_string();
    let header = |name: header::HeaderName| {
        let value = request.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let authorization = header(header::AUTHORIZATION);
    let page = shared.pages.lock().get(&path).cloned();
    let mut response = Response::builder();
    let (status, body) = match page {
        None => (StatusCode::NOT_FOUND, Vec::new()),
        Some(page) => {
            for (name, value) in &page.headers {
                response = response.header(*name, value);
            }
            let etag = format!("\"{}\"", hex::encode(Sha256::digest(&page.body)));
            if page.authorization.is_some() && page.authorization != authorization {
                (StatusCode::UNAUTHORIZED, Vec::new())
            } else if let Some(location) = page.location {
                response = response.header(header::LOCATION, location);
                (StatusCode::FOUND, Vec::new())
            } else if header(header::IF_NONE_MATCH).as_ref() == Some(&etag) {
                (StatusCode::NOT_MODIFIED, Vec::new())
            } else {
                response = response.header(header::ETAG, etag);
                (StatusCode::OK, page.body)
            }
        }
    };
    shared.asked.lock().push(Asked {
        path,
        authorization,
        status: status.as_u16(),
    });
    response
        .status(status)
        .body(Body::from(body))
        .expect("a response")
}

/// Compressed bytes.
pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut encoder, content).expect("a write to memory");
    encoder.finish().expect("a write to memory")
}

/// A tar archive with files.
pub(crate) fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        raw_entry(
            &mut builder,
            path,
            tar::EntryType::Regular,
            "",
            content.as_bytes(),
        );
    }
    builder.into_inner().expect("an archive")
}

/// Adds an entry whose path is taken as it is.
pub(crate) fn raw_entry(
    builder: &mut tar::Builder<Vec<u8>>,
    path: &str,
    kind: tar::EntryType,
    link: &str,
    content: &[u8],
) {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    header.set_cksum();
    builder.append(&header, content).expect("a write to memory");
}

/// A packed chart with this text in its values.
pub(crate) fn chart(name: &str, version: &str, values: &str) -> Vec<u8> {
    let description = format!("apiVersion: v2\nname: {name}\nversion: {version}\n");
    gzip(&tar(&[
        (&format!("{name}/Chart.yaml"), &description),
        (&format!("{name}/values.yaml"), values),
        (&format!("{name}/templates/a.yaml"), "a: b\n"),
    ]))
}

/// An index with versions of the chart `web`: version, URL, digest.
pub(crate) fn index(versions: &[(&str, &str, &str)]) -> String {
    let entries = versions.iter().map(|(version, url, digest)| {
        format!(
            "  - {{name: web, version: \"{version}\", urls: [\"{url}\"], digest: \"{digest}\"}}\n"
        )
    });
    format!(
        "apiVersion: v1\nentries:\n  web:\n{}",
        entries.collect::<String>()
    )
}

/// The SHA-256 of bytes, in hexadecimal digits.
pub(crate) fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}
