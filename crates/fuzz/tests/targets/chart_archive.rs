//! Archives of charts: tar headers with names, kinds, sizes and links as somebody may write them.

use argo_cd_lite::repo::{Archive, Layout};
use fuzz::Material;

/// Each line is an entry: kind, name, link, the size that the header claims, and the content.
const MATERIAL: Material = Material {
    examples: &[
        "5|web/||0|\n0|web/Chart.yaml||10|name: web\\n\n0|web/templates/a.yaml||4|a: b\n",
        "2|web/link|../../etc/passwd|0|\n1|web/hard|/etc/passwd|0|\n",
        "L|././@LongLink||6|web/xx\n0|web/x||1|x\n",
        "x|web/pax||20|20 path=web/../../a\\n\n0|web/y||1|y\ng|pax_global_header||0|\n",
        "0|web/a||99999999999|x\nS|web/sparse||1|x\n",
    ],
    tokens: &[
        "|",
        "\n",
        "\\n",
        "/",
        "../",
        "web/",
        "./",
        "C:",
        "\\",
        "\u{0}",
        "\u{ff}",
        "0|",
        "2|",
        "x|",
        "L|",
        "g|",
        "512",
        "-1",
        "8589934592",
        "path=",
        "size=",
        "GNU.sparse.map=",
    ],
};

const BLOCK: usize = 512;

/// A tar of the entries, each header with its right checksum: without that nothing behind it is read.
fn archive(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(5, '|');
        let mut field = || latin(fields.next().unwrap_or_default());
        let (kind, name, link, size, content) = (field(), field(), field(), field(), field());
        let mut header = tar::Header::new_ustar();
        put(&mut header.as_old_mut().name, &name);
        put(&mut header.as_old_mut().linkname, &link);
        header.set_mode(0o644);
        let size = String::from_utf8_lossy(&size).parse::<u64>();
        header.set_size(size.unwrap_or(content.len() as u64));
        let kind = kind.first().copied().unwrap_or(b'0');
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_cksum();
        bytes.extend(header.as_bytes());
        bytes.extend(&content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    }
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    bytes
}

/// One byte for each character; `\n` in the text is a line feed.
fn latin(text: &str) -> Vec<u8> {
    let text = text.replace("\\n", "\n");
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
        .collect()
}

fn put(field: &mut [u8], value: &[u8]) {
    let length = field.len().min(value.len());
    field[..length].copy_from_slice(&value[..length]);
}

#[test]
fn chart_archive() {
    let good = archive(MATERIAL.examples[0]);
    let read = Archive::read(&good, Layout::Chart).expect("a chart");
    assert!(read.paths().any(|path| path == "Chart.yaml"));
    fuzz::run(MATERIAL, |text| {
        for content in [archive(text), latin(text)] {
            for layout in [Layout::Chart, Layout::Plain] {
                let Ok(archive) = Archive::read(&content, layout) else {
                    continue;
                };
                for path in archive.paths() {
                    let mut parts = path.split('/');
                    assert!(
                        path.is_empty() || parts.all(|part| !matches!(part, "" | "." | "..")),
                        "{path:?}"
                    );
                }
            }
        }
    });
}
