//! Renders of files that a call brings along.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use tar::{EntryType, Header};
use tonic::{Code, Status};

use super::{super::messages::*, Served, client::Client};
use crate::repo::{
    MAX_ARCHIVE_BYTES,
    charts::tests::server::{gzip, raw_entry, sha256},
};

const METHOD: &str = "GenerateManifestWithFiles";
const MAP: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: local}\ndata: {a: 'not in Git'}\n";

/// A compressed archive of files and links.
fn archive(files: &[(&str, &str)], links: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, text) in files {
        raw_entry(&mut builder, path, EntryType::Regular, "", text.as_bytes());
    }
    for (path, target) in links {
        raw_entry(&mut builder, path, EntryType::Symlink, target, b"");
    }
    gzip(&builder.into_inner().expect("an archive"))
}

fn of_request(served: &Served) -> ManifestRequestWithFiles {
    ManifestRequestWithFiles {
        request: Some(ManifestRequest {
            repo: Some(served.repository()),
            app_name: "shop".to_owned(),
            namespace: "shop".to_owned(),
            application_source: Some(served.source("app")),
            ..ManifestRequest::default()
        }),
        ..ManifestRequestWithFiles::default()
    }
}

fn of_checksum(checksum: &str) -> ManifestRequestWithFiles {
    ManifestRequestWithFiles {
        metadata: Some(ManifestFileMetadata {
            checksum: checksum.to_owned(),
        }),
        ..ManifestRequestWithFiles::default()
    }
}

/// The parts as Argo CD's server sends them.
fn parts(served: &Served, archive: &[u8]) -> Vec<ManifestRequestWithFiles> {
    let checksum = sha256(archive);
    let pieces = archive.chunks(1024).map(|piece| ManifestRequestWithFiles {
        chunk: Some(ManifestFileChunk {
            chunk: piece.to_vec(),
        }),
        ..ManifestRequestWithFiles::default()
    });
    let head = [of_request(served), of_checksum(&checksum)];
    head.into_iter().chain(pieces).collect()
}

async fn send(
    client: &Client,
    parts: Vec<ManifestRequestWithFiles>,
) -> Result<ManifestResponse, Status> {
    client.send(METHOD, parts).await
}

/// Folders of calls that are there.
fn folders(served: &Served) -> usize {
    let calls = super::super::reach::calls(served.folder.path());
    std::fs::read_dir(calls).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_the_call_take_the_place_of_those_in_git() {
    let served = Served::new(true).await;
    served
        .origin
        .write("app/a.yaml", "not: read")
        .commit("other");
    let client = served.client().await;
    let sent = archive(
        &[("app/a.yaml", MAP), ("other/b.yaml", "not: read")],
        &[("app/link.yaml", "a.yaml")],
    );
    let answer = send(&client, parts(&served, &sent)).await;
    let answer = answer.expect("manifests");
    assert_eq!(answer.revision, "streamed");
    let manifests = answer.manifests.join("\n");
    assert!(manifests.contains("not in Git"), "{manifests}");
    assert!(manifests.contains("\"shop\""), "it is marked: {manifests}");
    assert_eq!(folders(&served), 0, "the files went with the call");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_uploads_are_refused_and_leave_nothing() {
    let served = Served::new(false).await;
    served.origin.write("app/a.yaml", MAP).commit("a map");
    let client = served.client().await;
    let good = archive(&[("app/a.yaml", MAP)], &[]);
    let mut wrong_checksum = parts(&served, &good);
    wrong_checksum[1] = of_checksum(&"0".repeat(64));
    let mut twice = parts(&served, &good);
    twice.push(of_request(&served));
    let cases = [
        (Vec::new(), "no request"),
        (vec![of_checksum("x")], "no request"),
        (vec![of_request(&served)], "no metadata"),
        (
            vec![of_request(&served), of_request(&served)],
            "no metadata",
        ),
        (twice, "no chunk"),
        (wrong_checksum, "checksum"),
        (parts(&served, b"no archive at all"), "archive"),
        (
            parts(&served, &archive(&[("../../etc/a.yaml", MAP)], &[])),
            "leads out of the archive",
        ),
        (
            parts(&served, &archive(&[("/etc/a.yaml", MAP)], &[])),
            "leads out of the archive",
        ),
        (
            parts(
                &served,
                &archive(&[("app/b.yaml", MAP)], &[("app/a.yaml", "/etc/passwd")]),
            ),
            "leads outside of the repository",
        ),
    ];
    for (parts, reason) in cases {
        let error = send(&client, parts).await.expect_err(reason);
        assert!(error.message().contains(reason), "{reason}: {error}");
    }
    assert_eq!(folders(&served), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archives_that_are_too_large_packed_or_unpacked_are_refused() {
    let served = Served::new(false).await;
    served.origin.write("app/a.yaml", MAP).commit("a map");
    let client = served.client().await;
    // Zeros shrink a thousand times.
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    let mut header = Header::new_ustar();
    header.set_path("app/a.yaml").expect("a path");
    header.set_size(200 << 20);
    header.set_cksum();
    bomb.write_all(header.as_bytes()).expect("a header");
    for _ in 0..200 {
        bomb.write_all(&vec![0; 1 << 20]).expect("zeros");
    }
    let bomb = bomb.finish().expect("an archive");
    let error = send(&client, parts(&served, &bomb)).await;
    let error = error.expect_err("a bomb");
    assert!(error.message().contains("inflated archive"), "{error}");

    let piece = ManifestRequestWithFiles {
        chunk: Some(ManifestFileChunk {
            chunk: vec![1; 8 << 20],
        }),
        ..ManifestRequestWithFiles::default()
    };
    let count = usize::try_from(MAX_ARCHIVE_BYTES >> 23).expect("a number") + 1;
    let mut parts = vec![of_request(&served), of_checksum("x")];
    parts.extend(std::iter::repeat_n(piece, count));
    let error = send(&client, parts).await.expect_err("too much");
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    assert_eq!(folders(&served), 0);
}
