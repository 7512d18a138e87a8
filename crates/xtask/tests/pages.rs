//! The documents: every page is reachable, every link leads somewhere, and every message in the troubleshooting page is
//! one that the operators have.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn read(path: &Path) -> String {
    fs::read_to_string(path)
        .map_err(|error| format!("{}: {error}", path.display()))
        .expect("a readable page")
}

/// Files with this end below a folder.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut files = xtask::files::below(folder).expect("a folder");
    files.retain(|path| path.to_string_lossy().ends_with(end));
    files
}

/// Where the links of a page lead, code blocks apart.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for part in line.split("](").skip(1) {
            let target = part.split(')').next().unwrap_or_default();
            links.push(target.to_owned());
        }
    }
    links
}

/// The anchors of a page as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter_map(|sign| match sign {
            ' ' => Some('-'),
            sign if sign.is_alphanumeric() || sign == '-' || sign == '_' => Some(sign),
            _ => None,
        });
        kept.collect::<String>()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_page_is_in_the_summary() {
    let docs = xtask::root().join("docs");
    let summary: BTreeSet<String> = links(&read(&docs.join("SUMMARY.md"))).into_iter().collect();
    let pages: BTreeSet<String> = files(&docs, ".md")
        .iter()
        .map(|page| page.strip_prefix(&docs).expect("below docs"))
        .map(|page| page.display().to_string())
        .filter(|page| page != "SUMMARY.md")
        .collect();
    assert_eq!(summary, pages);
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let root = xtask::root();
    let mut pages: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "SECURITY.md"]
        .map(|page| root.join(page))
        .to_vec();
    pages.extend(files(&root.join("docs"), ".md"));
    pages.extend(files(&root.join("charts"), ".md"));
    let mut broken = Vec::new();
    for page in &pages {
        let text = read(page);
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() {
                page.clone()
            } else {
                page.parent().expect("a folder").join(file)
            };
            let known =
                target.exists() && (anchor.is_empty() || anchors(&read(&target)).contains(anchor));
            if !known {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(pages.len() > 20, "only {} pages", pages.len());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Code without its tests, as one text without the breaks that the formatter makes.
fn code() -> String {
    let folder = xtask::root().join("crates");
    let mut code = String::new();
    for source in files(&folder, ".rs") {
        let below = source.strip_prefix(&folder).expect("below the folder");
        let path = format!("/{}", below.display());
        if path.contains("/tests") || path.contains("/xtask/") || path.contains("/target/") {
            continue;
        }
        code.push_str(&read(&source));
    }
    code
}

#[test]
fn every_message_of_the_troubleshooting_page_exists() {
    let page = read(&xtask::root().join("docs/troubleshooting.md"));
    let code = code();
    let headings: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'))
        .collect();
    assert!(headings.len() > 15, "only {} messages", headings.len());
    let unknown: Vec<&&str> = headings
        .iter()
        .filter(|heading| {
            let mut parts = heading.split('…').filter(|part| part.len() > 3);
            parts.any(|part| !code.contains(part))
        })
        .collect();
    assert!(unknown.is_empty(), "no such message: {unknown:#?}");
}
