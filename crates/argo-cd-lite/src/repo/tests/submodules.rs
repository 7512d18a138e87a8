//! Commits with submodules.

use super::*;

/// Adds a submodule as the git program does.
pub(super) fn add(parent: &Origin, path: &str, url: &str, commit: &str) {
    let folder = parent.folder.path();
    let modules = folder.join(".gitmodules");
    let known = std::fs::read_to_string(&modules).unwrap_or_default();
    let section = format!("[submodule \"{path}\"]\n\tpath = {path}\n\turl = {url}\n");
    std::fs::write(modules, known + &section).expect("a file");
    git(folder, &["add", ".gitmodules"]);
    let entry = format!("160000,{commit},{path}");
    git(folder, &["update-index", "--add", "--cacheinfo", &entry]);
    git(folder, &["commit", "-q", "-m", "a submodule"]);
}

#[tokio::test]
async fn submodules_are_folders_of_the_tree() {
    let inner = Origin::new();
    let inner_commit = inner.write("deep.yaml", "deep").commit("1");
    let library = Origin::new();
    library.write("lib/a.yaml", "from the library").commit("1");
    add(&library, "inner", &inner.url(), &inner_commit);
    let library_commit = git(library.folder.path(), &["rev-parse", "HEAD"]);
    let bed = Bed::new();
    bed.origin.write("app/own.yaml", "own").commit("1");
    add(&bed.origin, "app/vendor", &library.url(), &library_commit);
    let at = bed.main().await;
    let commit = bed.hub.commit(&bed.url, &at).await.expect("a commit");
    let whole = bed.hub.with_submodules(&bed.url, commit.clone(), &|_| true);
    let whole = whole.await.expect("submodules");
    let files = |commit: &Commit, path: &str| -> Result<Vec<(String, String)>, GitError> {
        let tree = commit.tree()?;
        let query = FileQuery {
            recurse: true,
            linked_folders: false,
            max_bytes: 1 << 20,
            wanted: &|_| true,
        };
        let files = tree.files(&tree.folder(path)?, &query)?.into_iter();
        let files = files.map(|file| (file.path, String::from_utf8(file.content).expect("text")));
        let record = tree.record();
        assert!(
            commit.tree()?.matches(&record),
            "what was read is as it was"
        );
        Ok(files.collect())
    };
    let found = files(&whole, "app").expect("files");
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(p, t)| (p.as_str(), t.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("own.yaml", "own"),
            ("vendor/.gitmodules", found[1].1),
            ("vendor/inner/deep.yaml", "deep"),
            ("vendor/lib/a.yaml", "from the library"),
        ]
    );
    assert_eq!(files(&whole, "app/vendor/lib").expect("files").len(), 1);
    // A repository that the project does not permit is an error of whoever reads it, and of nobody else.
    let inner_url = inner.url();
    let permit = |url: &str| url != inner_url;
    let some = bed.hub.with_submodules(&bed.url, commit.clone(), &permit);
    let some = some.await.expect("submodules");
    assert!(files(&some, "app").is_err());
    assert_eq!(files(&some, "app/vendor/lib").expect("files").len(), 1);
    let error = files(&some, "app/vendor/inner").expect_err("not permitted");
    assert!(
        error.to_string().contains("the project does not permit"),
        "{error}"
    );
    let none = bed.hub.with_submodules(&bed.url, commit, &|_| false);
    let error = files(&none.await.expect("a commit"), "app/vendor/lib").expect_err("refused");
    assert!(
        error
            .to_string()
            .contains("cannot read the Git submodule vendor"),
        "{error}"
    );
}

#[tokio::test]
async fn a_submodule_that_is_gone_is_an_error_and_cycles_end() {
    let bed = Bed::new();
    let first = bed.origin.write("app/a.yaml", "a").commit("1");
    add(
        &bed.origin,
        "gone",
        "file:///nowhere/at/all",
        &"1".repeat(40),
    );
    // A commit of the repository itself.
    add(&bed.origin, "own", &bed.url, &first);
    let at = bed.main().await;
    let commit = bed.hub.commit(&bed.url, &at).await.expect("a commit");
    let whole = bed
        .hub
        .with_submodules(&bed.url, commit, &|url: &str| !url.contains("nowhere"));
    let tree = whole.await.expect("submodules").tree().expect("a tree");
    let own = tree.file("own/app/a.yaml", 100).expect("readable");
    assert_eq!(own.as_deref(), Some(&b"a"[..]));
    assert!(tree.folder("gone").is_err());
}
