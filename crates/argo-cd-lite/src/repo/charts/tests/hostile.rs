//! What a server, an index and an archive may try.

use reqwest::Url;
use tar::EntryType;

use super::{
    super::download::{Download, Login},
    server::{gzip, raw_entry, tar},
    *,
};

fn archive(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, link) in entries {
        let content: &[u8] = if *kind == EntryType::Regular {
            b"x"
        } else {
            b""
        };
        raw_entry(&mut builder, path, *kind, link, content);
    }
    gzip(&builder.into_inner().expect("an archive"))
}

#[test]
fn an_archive_with_more_than_a_chart_is_refused() {
    let file = |path| (path, EntryType::Regular, "");
    let chart = file("web/Chart.yaml");
    for (entries, expected) in [
        (vec![chart, file("web/../../etc/passwd")], "leads out"),
        (vec![chart, file("../web/x")], "leads out"),
        (vec![chart, file("/etc/passwd")], "leads out"),
        (vec![chart, file("C:/x")], "leads out"),
        (vec![chart, file("web\\..\\x")], "no path"),
        (vec![chart, file("other/x")], "outside of the folder"),
        (
            vec![chart, ("web/d", EntryType::Char, "")],
            "neither a file",
        ),
        (
            vec![chart, ("web/f", EntryType::Fifo, "")],
            "neither a file",
        ),
        (
            vec![chart, ("web/h", EntryType::Link, "/etc/passwd")],
            "neither a file",
        ),
        (vec![chart, chart], "in it twice"),
        (vec![chart, file("web/Chart.yaml/x")], "a file and a folder"),
        (vec![], "no files"),
    ] {
        let error = Archive::read(&archive(&entries), Layout::Chart).expect_err(expected);
        assert!(error.to_string().contains(expected), "{expected}: {error}");
    }
    let deep = format!("web/{}x", "d/".repeat(40));
    let error = Archive::read(&archive(&[file(&deep)]), Layout::Chart).expect_err("too deep");
    assert!(error.to_string().contains("too many folders"), "{error}");
    for broken in [&b"\x1f\x8b\x08garbage"[..], b"no archive at all", b""] {
        Archive::read(broken, Layout::Chart).expect_err("no archive");
    }
}

#[test]
fn a_link_leads_nowhere_but_into_its_archive() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = ArchiveStore::new(folder.path().to_owned(), 1 << 30);
    let content = archive(&[
        ("web/Chart.yaml", EntryType::Regular, ""),
        ("web/inside", EntryType::Symlink, "Chart.yaml"),
        ("web/absolute", EntryType::Symlink, "/etc/passwd"),
        ("web/outside", EntryType::Symlink, "../../etc/passwd"),
        ("web/loop", EntryType::Symlink, "loop"),
    ]);
    Archive::read(&content, Layout::Chart).expect("an archive");
    let tree = store
        .put("key", &content, Layout::Chart)
        .expect("a file")
        .tree();
    let inside = tree.file("inside", 10).expect("a link");
    assert_eq!(inside.as_deref(), Some(&b"x"[..]));
    for name in ["absolute", "outside"] {
        let error = tree.file(name, 10).expect_err(name).to_string();
        assert!(error.contains("outside of the repository"), "{error}");
    }
    assert_eq!(tree.file("loop", 10).expect("a loop"), None);
}

#[test]
fn an_archive_that_grows_when_it_is_inflated_is_refused() {
    let mut builder = tar::Builder::new(Vec::new());
    let zeros = vec![0; 97 << 20];
    raw_entry(
        &mut builder,
        "web/Chart.yaml",
        EntryType::Regular,
        "",
        &zeros,
    );
    let bomb = gzip(&builder.into_inner().expect("an archive"));
    assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
    let error = Archive::read(&bomb, Layout::Chart).expect_err("too large");
    assert!(error.to_string().contains("inflated"), "{error}");
    // A header that promises much costs nothing before the bytes come.
    let mut header = tar::Header::new_gnu();
    header.set_path("web/x").expect("a path");
    header.set_size(u64::MAX / 2);
    header.set_cksum();
    Archive::read(header.as_bytes(), Layout::Chart).expect_err("nothing follows");
}

#[test]
fn an_archive_that_is_changed_on_disk_is_not_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = ArchiveStore::new(folder.path().to_owned(), 1 << 30);
    let content = chart("web", "1.0.0", "good");
    let file = store.put("key", &content, Layout::Chart).expect("a file");
    std::fs::write(&file.path, chart("web", "1.0.0", "evil")).expect("a write");
    let error = file.tree().file("values.yaml", 10).expect_err("changed");
    assert!(error.to_string().contains("changed on disk"), "{error}");
    assert!(store.get("key").is_none(), "it is gone");
}

#[test]
fn the_oldest_archives_go_when_the_disk_budget_is_exceeded() {
    let folder = tempfile::tempdir().expect("a folder");
    let content = [chart("a", "1.0.0", "1"), chart("b", "1.0.0", "2")];
    let budget = content[1].len() as u64 + 100;
    let store = ArchiveStore::new(folder.path().to_owned(), budget);
    let old = store.put("a", &content[0], Layout::Chart).expect("a file");
    store.put("b", &content[1], Layout::Chart).expect("a file");
    assert!(!old.path.exists());
    assert!(store.get("b").is_some());
}

#[tokio::test]
async fn a_chart_is_what_the_index_says_or_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start().await;
    let good = chart("web", "1.0.0", "good");
    let escaping = gzip(&tar(&[("web/Chart.yaml", "a"), ("web/../../x", "b")]));
    let text = index(&[
        ("1.0.0", "web.tgz", &sha256(b"another")),
        ("1.0.1", "escaping.tgz", &sha256(&escaping)),
        ("1.0.2", "missing.tgz", ""),
        ("1.0.3", "file:///etc/passwd", ""),
        ("1.0.4", "http://169.254.169.254/latest/meta-data", ""),
        ("1.0.5", "redirect.tgz", ""),
        ("1.0.6", "loop.tgz", ""),
        ("1.0.7", "text.tgz", ""),
    ]);
    server
        .put("/index.yaml", Page::of(text))
        .put("/web.tgz", Page::of(good))
        .put("/escaping.tgz", Page::of(escaping))
        .put("/redirect.tgz", Page::moved("http://169.254.169.254/x"))
        .put("/loop.tgz", Page::moved("/loop.tgz"))
        .put("/text.tgz", Page::of("<html>not found</html>"));
    let bed = Bed::new(folder.path(), Trust::default());
    let url = server.url();
    for (version, expected) in [
        ("1.0.0", "has the digest"),
        ("1.0.1", "leads out of the archive"),
        ("1.0.2", "repository not found or no access"),
        ("1.0.3", "no http or https URL"),
        ("1.0.4", "link-local"),
        ("1.0.5", "link-local"),
        ("1.0.6", "redirects more than"),
        ("1.0.7", "archive is refused"),
    ] {
        let error = bed.values(&web(&url, version)).await.expect_err(version);
        assert!(error.contains(expected), "{version}: {error}");
    }
    for (url, expected) in [
        ("http://169.254.169.254/charts", "link-local"),
        ("http://[fd00:ec2::254]/charts", "link-local"),
        ("file:///etc", "not the URL of"),
        ("https://host/a/../b", "not the URL of"),
        ("http://127.0.0.1:1", "cannot read 127.0.0.1:1"),
    ] {
        let error = bed.values(&web(url, "1.0.0")).await.expect_err(url);
        assert!(error.contains(expected), "{url}: {error}");
    }
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit_only() {
    let server = Server::start().await;
    server.put("/index.yaml", Page::of(vec![b'#'; 100_000]));
    let home: Url = server.url().parse().expect("a URL");
    let downloads = Downloads::new(REFUSE, Trust::default());
    reconcile_core::operator::install_tls();
    let reply = downloads.send(Download {
        url: home.join("index.yaml").expect("a URL"),
        login: Login {
            home: &home,
            credential: None,
            everywhere: false,
        },
        authorization: None,
        accept: None,
        etag: None,
        what: "index.yaml",
        limit: 1000,
    });
    let error = reply.await.err().expect("too large");
    assert!(
        matches!(error, ChartError::Exceeds { limit: 1000, .. }),
        "{error}"
    );
}
