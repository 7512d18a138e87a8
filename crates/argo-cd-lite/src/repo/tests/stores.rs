//! Stores on disk, and the servers that they follow.

use super::*;

#[tokio::test]
async fn stores_of_ours_are_no_repositories() {
    let bed = Bed::new();
    bed.origin.write("secret.yaml", "a").commit("1");
    let at = bed.main().await;
    bed.read(&at, "").await.expect("files");
    let stores = bed.stores.path();
    let store = std::fs::read_dir(stores)
        .expect("the stores")
        .find_map(Result::ok)
        .expect("a store");
    let name = store.file_name().to_string_lossy().into_owned();
    for url in [
        format!("file://{}/{name}", stores.display()),
        format!("file://{}/x/../{name}", stores.display()),
    ] {
        std::fs::create_dir_all(stores.join("x")).expect("a folder");
        let refused = bed.hub.refs(&url, None).await.expect_err("refused");
        assert!(matches!(refused, RepoError::Own), "{refused}");
    }
}

#[tokio::test]
async fn a_hub_that_refuses_local_files_reads_none_whoever_asks() {
    let bed = Bed::new();
    let commit = bed.origin.write("a.yaml", "a").commit("1");
    let at = bed.main().await;
    let config = HubConfig {
        // The store of before is no way around it.
        folder: bed.stores.path().to_owned(),
        disk_budget: DEFAULT_DISK_BUDGET,
        limits: GitLimits::default(),
        file_repositories: FileRepositories::Refuse,
        egress: EgressPolicy::AllowLinkLocal,
        trust: Trust::default(),
        poll: Duration::from_secs(60),
        jitter: Duration::ZERO,
    };
    let metrics = GitMetrics::register(&Registry::new()).expect("metrics");
    let hub = RepoHub::new(
        config,
        Credentials::default(),
        Clock::system(),
        metrics,
        drop,
    );
    let path = bed.origin.folder.path().display();
    for url in [
        bed.url.clone(),
        format!("FILE://{path}"),
        format!(" file://{path}"),
        path.to_string(),
        format!("./{path}"),
    ] {
        let refs = hub.refs(&url, None).await.expect_err("refs");
        assert!(matches!(refs, RepoError::LocalFile), "{url}: {refs}");
        let short = hub
            .resolve(&url, &RefList::default(), &commit[..8], "")
            .await
            .expect_err("a short commit");
        assert!(matches!(short, RepoError::LocalFile), "{url}: {short}");
        let read = hub.commit(&url, &at).await.err().expect("a commit");
        assert!(matches!(read, RepoError::LocalFile), "{url}: {read}");
    }
}

#[tokio::test]
async fn a_server_that_stops_leaves_the_refs_of_before() {
    let bed = Bed::new();
    bed.origin.write("a.yaml", "a").commit("1");
    bed.refs(false).await;
    let folder = bed.origin.folder.path();
    let away = folder.with_extension("away");
    std::fs::rename(folder, &away).expect("moved away");
    let now = Some(Clock::system().now());
    let kept = bed.hub.refs(&bed.url, now).await;
    assert!(kept.expect("the refs of before").failing.is_some());
    std::fs::rename(&away, folder).expect("moved back");
    let error = bed.hub.refs("file:///nowhere/at/all", None).await;
    let error = error.expect_err("no repository");
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_store_lives_through_more_commits_than_it_keeps_packs() {
    let bed = Bed::new();
    for number in 0..40 {
        let text = number.to_string();
        let commit = bed.origin.write("app/a.yaml", &text).commit("next");
        let at = bed.main().await;
        assert_eq!(at.commit, commit);
        let files = bed.read(&at, "app").await.expect("files");
        assert_eq!(files[0].1, text);
    }
}

#[tokio::test]
async fn a_commit_that_the_server_does_not_have_is_no_reason_to_wait() {
    let bed = Bed::new();
    bed.origin.write("app/a.yaml", "a").commit("1");
    bed.refs(false).await;
    let at = Resolved {
        commit: "1234567890123456789012345678901234567890".to_owned(),
        reference: None,
    };
    let error = bed.folder_id(&at, "app").await.expect_err("no such commit");
    assert!(!error.is_transient(), "{error}");
    assert!(
        error.to_string().contains("does not have revision 12345"),
        "{error}"
    );
}

#[tokio::test]
async fn a_store_that_a_killed_process_left_locked_is_fetched_again() {
    for lock in ["shallow.lock", "refs/heads/main.lock"] {
        let bed = Bed::new();
        bed.origin.write("app/a.yaml", "a").commit("1");
        let at = bed.main().await;
        bed.read(&at, "app").await.expect("files");
        let mut stores = std::fs::read_dir(bed.stores.path()).expect("the folder");
        let store = stores.next().expect("a store").expect("an entry").path();
        std::fs::write(store.join(lock), "").expect("a lock");
        bed.origin.write("app/a.yaml", "b").commit("2");
        let at = bed.main().await;
        let metrics = GitMetrics::register(&Registry::new()).expect("metrics");
        let successor = RepoHub::new(
            config(&bed.stores),
            Credentials::default(),
            Clock::system(),
            metrics,
            drop,
        );
        let folder = folder_id(&successor, &bed.url, &at, "app").await;
        folder.expect("fetched again");
    }
}

#[tokio::test]
async fn stores_beyond_the_disk_budget_are_deleted_and_fetched_again() {
    let bed = Bed::new();
    bed.origin.write("app/a.yaml", "a").commit("1");
    let at = bed.main().await;
    bed.read(&at, "app").await.expect("files");
    let small = HubConfig {
        disk_budget: 1,
        ..config(&bed.stores)
    };
    let registry = Registry::new();
    let metrics = GitMetrics::register(&registry).expect("metrics");
    let hub = RepoHub::new(
        small,
        Credentials::default(),
        Clock::system(),
        metrics,
        drop,
    );
    let stores = || {
        std::fs::read_dir(bed.stores.path())
            .expect("the folder")
            .count()
    };
    assert_eq!(stores(), 1);
    // Left by another process.
    hub.sweep().await;
    assert_eq!(stores(), 0);
    // In use.
    folder_id(&hub, &bed.url, &at, "app")
        .await
        .expect("fetched");
    assert_eq!(stores(), 1);
    hub.sweep().await;
    assert_eq!(stores(), 0);
    folder_id(&hub, &bed.url, &at, "app")
        .await
        .expect("fetched again");
    let value = |name: &str| {
        let families = registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        family.map(|family| {
            let metric = &family.get_metric()[0];
            metric.get_counter().get_value() + metric.get_gauge().get_value()
        })
    };
    assert_eq!(value("argocd_lite_git_store_evictions_total"), Some(2.0));
    assert_eq!(value("argocd_lite_git_store_bytes"), Some(0.0));
}
