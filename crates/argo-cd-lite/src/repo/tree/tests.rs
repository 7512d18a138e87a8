//! Paths, links and the record of a tree, on folders of this machine.

use std::{fs, os::unix::fs::symlink};

use git_fetch::FetchError;

use super::*;

fn tree(files: &[&str], links: &[(&str, &str)]) -> (tempfile::TempDir, SourceTree) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    for file in files {
        let path = root.join(file);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(&path, file).expect("a file");
    }
    for (name, target) in links {
        symlink(target, root.join(name)).expect("a link");
    }
    let reader = FolderReader::open(root).expect("a folder");
    let tree = SourceTree::new(Box::new(reader), GitLimits::default());
    (folder, tree)
}

fn names(tree: &SourceTree, path: &str, linked_folders: bool) -> Result<Vec<String>, GitError> {
    let query = FileQuery {
        recurse: true,
        linked_folders,
        max_bytes: 1 << 20,
        wanted: &|_| true,
    };
    let files = tree.files(&tree.folder(path)?, &query)?;
    Ok(files.into_iter().map(|file| file.path).collect())
}

#[test]
fn a_walk_ends_when_it_is_interrupted() {
    let (_folder, tree) = tree(&["app/a.yaml"], &[]);
    let interrupt = Interrupt::default();
    let tree = tree.interruptible(&interrupt);
    assert_eq!(names(&tree, "app", false).expect("files"), ["a.yaml"]);
    let folder = tree.folder("app").expect("a folder");
    interrupt.store(true, Ordering::SeqCst);
    let query = FileQuery {
        recurse: true,
        linked_folders: false,
        max_bytes: 1 << 20,
        wanted: &|_| true,
    };
    assert_eq!(tree.files(&folder, &query), Err(GitError::Interrupted));
    assert_eq!(tree.look("app/a.yaml"), Err(GitError::Interrupted));
}

#[test]
fn the_record_of_what_was_read_is_bounded() {
    let (_folder, tree) = tree(&["a"], &[]);
    let looked = (0..10_000).find_map(|number| {
        let path = format!("{number}{}", "/x".repeat(500));
        tree.look(&path).err()
    });
    assert!(
        matches!(looked, Some(GitError::Fetch(FetchError::Exceeds { .. }))),
        "{looked:?}"
    );
}

#[test]
fn links_are_followed_inside_the_tree_only() {
    let (_folder, tree) = tree(
        &["app/a.yaml", "shared/values.yaml", "shared/deep/b.yaml"],
        &[
            ("app/file.yaml", "../shared/values.yaml"),
            ("app/folder", "../shared/deep"),
            ("app/dangling.yaml", "nowhere"),
            ("alias", "app"),
            ("absolute", "/etc"),
            ("climbs", "app/../../etc"),
            ("loop", "loop"),
        ],
    );
    assert_eq!(
        names(&tree, "app", false).expect("files"),
        ["a.yaml", "file.yaml"]
    );
    assert_eq!(
        names(&tree, "alias", true).expect("files"),
        ["a.yaml", "file.yaml", "folder/b.yaml"]
    );
    for path in ["absolute/passwd", "climbs/passwd", "../x", "app/../../x"] {
        let error = tree.look(path).expect_err(path);
        assert!(matches!(error, GitError::Escapes(_)), "{path}: {error}");
    }
    assert_eq!(tree.look("loop/x").expect("no error"), None);
    let content = tree.file("alias/file.yaml", 100).expect("a read");
    assert_eq!(content.as_deref(), Some(b"shared/values.yaml".as_slice()));
    let error = tree.file("app/a.yaml", 3).expect_err("too large");
    assert_eq!(error, GitError::TooLarge(3));
}

#[test]
fn a_link_to_a_folder_above_ends_at_the_limit_of_depth() {
    let (_folder, tree) = tree(&["app/a.yaml"], &[("app/again", "../app")]);
    let error = names(&tree, "app", true).expect_err("no end");
    assert!(
        matches!(error, GitError::Fetch(FetchError::Exceeds { .. })),
        "{error}"
    );
}

#[test]
fn what_is_read_is_recorded() {
    let (_folder, tree) = tree(
        &["app/a.yaml", "app/b/c.yaml", "shared/values.yaml"],
        &[("app/link.yaml", "../shared/values.yaml")],
    );
    names(&tree, "app", false).expect("files");
    tree.look("app/b/c.yaml").expect("a file of the folder");
    tree.look("missing.yaml").expect("no error");
    let record = tree.record();
    let paths: Vec<&str> = record.keys().map(String::as_str).collect();
    assert_eq!(paths, ["app", "app/link.yaml", "missing.yaml"]);
    assert_eq!(record["missing.yaml"], "");
    assert!(record["app/link.yaml"].ends_with("shared/values.yaml"));
    assert!(tree.matches(&record));
    let mut other = record.clone();
    other.insert("missing.yaml".to_owned(), "there".to_owned());
    assert!(!tree.matches(&other));
}
