//! What a repository can make large.

use super::*;

/// Files that a limit refuses, and the message.
async fn refused(limits: GitLimits, prepare: impl Fn(&Origin)) -> String {
    let bed = Bed::with_limits(limits);
    prepare(&bed.origin);
    bed.origin.commit("1");
    let at = bed.main().await;
    let error = bed.read(&at, "app").await.expect_err("a refusal");
    assert!(
        !error.is_transient(),
        "{error} is not tried again and again"
    );
    error.to_string()
}

#[expect(clippy::too_many_lines, reason = "a table of limits")]
#[tokio::test]
async fn what_a_repository_can_make_large_is_limited() {
    let unlimited = GitLimits::default;
    let zeros = "0".repeat(4 << 20);
    let bomb = |origin: &Origin| {
        origin.write("app/zeros.yaml", &zeros);
    };
    let many = |origin: &Origin| {
        for number in 0..20 {
            origin.write(&format!("app/{number}.yaml"), &number.to_string());
        }
    };
    let deep = |origin: &Origin| {
        origin.write("app/a/b/c/d/e.yaml", "x");
    };
    let cases = [
        // The file is 4 MiB, the pack a few KiB, and the query allows 1 MiB.
        (
            refused(unlimited(), bomb).await,
            "larger than 1048576 bytes",
        ),
        (
            refused(
                GitLimits {
                    object_bytes: 1 << 20,
                    ..unlimited()
                },
                bomb,
            )
            .await,
            "1048576 bytes in an object",
        ),
        (
            refused(
                GitLimits {
                    inflated_bytes: 1 << 20,
                    ..unlimited()
                },
                bomb,
            )
            .await,
            "1048576 bytes of inflated objects",
        ),
        (
            refused(
                GitLimits {
                    pack_bytes: 100,
                    ..unlimited()
                },
                many,
            )
            .await,
            "100 bytes in a pack",
        ),
        (
            refused(
                GitLimits {
                    objects: 10,
                    ..unlimited()
                },
                many,
            )
            .await,
            "10 objects in a pack",
        ),
        (
            refused(
                GitLimits {
                    files: 10,
                    ..unlimited()
                },
                many,
            )
            .await,
            "10 manifest files",
        ),
        (
            refused(
                GitLimits {
                    entries: 10,
                    ..unlimited()
                },
                many,
            )
            .await,
            "10 entries below the path",
        ),
        (
            refused(
                GitLimits {
                    depth: 2,
                    ..unlimited()
                },
                deep,
            )
            .await,
            "2 folders below each other",
        ),
        (
            refused(
                GitLimits {
                    tree_bytes: 100,
                    ..unlimited()
                },
                many,
            )
            .await,
            "100 bytes in a folder object",
        ),
    ];
    for (text, expected) in cases {
        assert!(text.contains(expected), "{text:?} has no {expected:?}");
    }
}

#[tokio::test]
async fn a_folder_of_many_entries_is_found_in_and_found_again() {
    let bed = Bed::new();
    for number in 0..300 {
        let path = format!("apps/{number}/a.yaml");
        bed.origin.write(&path, &number.to_string());
    }
    bed.origin.commit("1");
    let at = bed.main().await;
    for number in [0, 7, 299, 7] {
        let files = bed
            .read(&at, &format!("apps/{number}"))
            .await
            .expect("files");
        assert_eq!(files[0].1, number.to_string());
    }
    let missing = bed.read(&at, "apps/300").await.expect_err("no such folder");
    assert!(missing.to_string().contains("app path does not exist"));
    bed.origin.write("apps/7/a.yaml", "changed").commit("2");
    let files = bed.read(&bed.main().await, "apps/7").await.expect("files");
    assert_eq!(files[0].1, "changed");
}
