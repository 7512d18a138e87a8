//! Servers that are slow, endless, or not to be called.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
};

use git_fetch::FetchError;

use super::*;

const ANY: EgressPolicy = EgressPolicy::AllowLinkLocal;
const REFUSE: EgressPolicy = EgressPolicy::RefuseLinkLocal {
    flag: "--allow-link-local",
};

/// A server that answers every request with a list of refs that never ends.
fn endless_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!(
        "http://{}/x.git",
        listener.local_addr().expect("an address")
    );
    std::thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            std::thread::spawn(move || serve_endlessly(stream));
        }
    });
    url
}

fn serve_endlessly(mut stream: TcpStream) {
    let mut request = [0; 4096];
    drop(stream.read(&mut request));
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\n";
    let commit = "1234567890123456789012345678901234567890";
    let first = format!("{commit} refs/heads/main\0side-band-64k\n");
    let line = |text: &str| format!("{:04x}{text}", text.len() + 4);
    let start = format!(
        "{head}{}0000{}",
        line("# service=git-upload-pack\n"),
        line(&first)
    );
    let mut written = stream.write_all(start.as_bytes());
    for number in 0_u64.. {
        if written.is_err() {
            return;
        }
        let next = line(&format!("{commit} refs/heads/b{number}\n"));
        written = stream.write_all(next.as_bytes());
    }
}

#[test]
fn an_endless_list_of_refs_is_cut_off() {
    reconcile_core::operator::install_tls();
    let folder = tempfile::tempdir().expect("a folder");
    let mut rules = rules(ANY);
    rules.limits.list_bytes = 100_000;
    let store = Store::open(folder.path(), &endless_server(), rules).expect("a store");
    let error = store.list_refs(None, &Interrupt::default());
    let text = error.expect_err("too many refs").to_string();
    assert!(text.contains("100000 bytes in the list of refs"), "{text}");
    let stopped = Interrupt::default();
    stopped.store(true, std::sync::atomic::Ordering::SeqCst);
    let error = store.list_refs(None, &stopped).expect_err("interrupted");
    assert!(error.to_string().contains("interrupted"), "{error}");
}

/// A server that accepts connections, counts the requests, and answers with `answer`, or never.
fn server(answer: Option<String>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for mut stream in listener.incoming().filter_map(Result::ok) {
            let mut request = [0; 4096];
            drop(stream.read(&mut request));
            count.fetch_add(1, Ordering::SeqCst);
            match &answer {
                Some(answer) => drop(stream.write_all(answer.as_bytes())),
                None => open.push(stream),
            }
        }
    });
    (format!("127.0.0.1:{port}"), requests)
}

fn store(folder: &tempfile::TempDir, url: &str, egress: EgressPolicy) -> Store {
    reconcile_core::operator::install_tls();
    Store::open(folder.path(), url, rules(egress)).expect("a store")
}

#[test]
fn metadata_addresses_are_not_called() {
    let folder = tempfile::tempdir().expect("a folder");
    for url in [
        "http://169.254.169.254/a.git",
        "http://[fd00:ec2::254]/a.git",
        "https://0xa9fea9fe/a.git",
    ] {
        let store = store(&folder, url, REFUSE);
        let refused = store.list_refs(None, &Interrupt::default());
        assert!(
            matches!(refused, Err(FetchError::Refused(_))),
            "{url}: {refused:?}"
        );
    }
}

#[test]
fn a_redirect_to_a_refused_address_is_not_followed() {
    // Every address of this machine, which counts as refused, is one that the test can listen at.
    let (target, requests) = server(Some("HTTP/1.1 404 Not Found\r\n\r\n".to_owned()));
    let port = target.rsplit(':').next().expect("a port");
    let (from, _) = server(Some(format!(
        "HTTP/1.1 302 Found\r\nLocation: http://0.0.0.0:{port}/a.git/info/refs?service=git-upload-pack\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )));
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("http://{from}/a.git");
    let refused = store(&folder, &url, REFUSE).list_refs(None, &Interrupt::default());
    assert!(refused.is_err());
    assert_eq!(requests.load(Ordering::SeqCst), 0, "{refused:?}");
    let followed = store(&folder, &url, ANY).list_refs(None, &Interrupt::default());
    assert!(followed.is_err());
    assert_eq!(requests.load(Ordering::SeqCst), 1, "{followed:?}");
}

/// Servers that hang hold the threads of repositories that were never read, and not those of the others.
#[tokio::test(flavor = "multi_thread")]
async fn servers_that_hang_do_not_hold_up_other_repositories() {
    let bed = Bed::new();
    bed.origin.write("a.yaml", "a").commit("1");
    bed.main().await;
    let (hanging, requests) = server(None);
    let waiting: Vec<_> = (0..12)
        .map(|number| {
            let (hub, url) = (bed.hub.clone(), format!("http://{hanging}/{number}.git"));
            tokio::spawn(async move { hub.refs(&url, None).await.map(drop) })
        })
        .collect();
    while requests.load(Ordering::SeqCst) < 8 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let first_to_give_up = futures::future::select_all(waiting);
    tokio::select! {
        biased;
        main = bed.main() => assert_eq!(main.commit.len(), 40),
        _ = first_to_give_up => panic!("the repository waited for servers that hang"),
    }
}

#[tokio::test]
async fn a_slow_server_stays_slow_for_a_while() {
    let now = Clock::system().now();
    let repository = repository::Repository::new("https://h/a", "a".to_owned(), now, now);
    assert_eq!(repository.standing(), repository::Standing::Untried);
    repository.answered(false);
    assert_eq!(repository.standing(), repository::Standing::Fast);
    repository.answered(true);
    repository.answered(false);
    assert_eq!(repository.standing(), repository::Standing::Slow);
}

#[tokio::test]
async fn a_user_in_a_url_changes_nothing() {
    let bed = Bed::new();
    bed.origin.write("a.yaml", "a").commit("1");
    for url in [
        "https://mallory:x@h/a.git",
        "https://H:443/a.git",
        "https://h/a.git/",
    ] {
        let key = ObjectKey::new("default", "app");
        let follows = [Follow {
            url,
            revision: "main",
            tag_prefix: "",
        }];
        bed.hub.follow(&key, "default", &follows);
    }
    let urls: Vec<String> = (bed.hub.followed().iter())
        .map(|repository| repository.url.clone())
        .collect();
    assert_eq!(urls, ["https://h/a.git"]);
}
