//! The HTTP transport with bounds: bytes of answers are counted, and a transfer that nobody waits for ends at its
//! next read.

use std::io::{self, BufRead, Read};

use gix::protocol::transport::client::blocking_io::http::{
    GetResponse, Http, PostBodyDataKind, PostResponse, reqwest::Remote,
};

use super::limits::Watch;

/// HTTP requests under a [`Watch`].
pub(super) struct BoundedHttp {
    inner: Remote,
    watch: Watch,
    what: &'static str,
    limit: u64,
}

impl BoundedHttp {
    /// Requests whose answers may have `limit` bytes altogether.
    pub(super) fn new(watch: Watch, what: &'static str, limit: u64) -> Self {
        Self {
            inner: Remote::default(),
            watch,
            what,
            limit,
        }
    }

    fn bound<R>(&self, inner: R) -> BoundedBody<R> {
        BoundedBody {
            inner,
            watch: self.watch.clone(),
            what: self.what,
            limit: self.limit,
        }
    }
}

impl Http for BoundedHttp {
    type Headers = <Remote as Http>::Headers;
    type ResponseBody = BoundedBody<<Remote as Http>::ResponseBody>;
    type PostBody = <Remote as Http>::PostBody;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<GetResponse<Self::Headers, Self::ResponseBody>> {
        let answer = self.inner.get(url, base_url, headers)?;
        Ok(GetResponse {
            headers: answer.headers,
            body: self.bound(answer.body),
        })
    }

    fn post(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        body: PostBodyDataKind,
    ) -> gix::Result<PostResponse<Self::Headers, Self::ResponseBody, Self::PostBody>> {
        let answer = self.inner.post(url, base_url, headers, body)?;
        Ok(PostResponse {
            post_body: answer.post_body,
            headers: answer.headers,
            body: self.bound(answer.body),
        })
    }

    fn configure(&mut self, config: &dyn std::any::Any) -> gix::Result {
        self.inner.configure(config)
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.inner.redirected_base_url()
    }
}

/// The body of an answer.
pub(super) struct BoundedBody<R> {
    inner: R,
    watch: Watch,
    what: &'static str,
    limit: u64,
}

impl<R> BoundedBody<R> {
    fn check(&self) -> io::Result<()> {
        if self.watch.is_interrupted() {
            // Not `Interrupted`, which readers take as a request to try again.
            return Err(io::Error::other("the transfer is interrupted"));
        }
        Ok(())
    }

    fn count(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.watch.received(bytes, self.what, self.limit);
    }
}

impl<R: Read> Read for BoundedBody<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        let count = self.inner.read(buffer)?;
        self.count(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for BoundedBody<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.check()?;
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.count(count);
        self.inner.consume(count);
    }
}
