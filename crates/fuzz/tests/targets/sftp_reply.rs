//! Packets of an SFTP server, whose bytes are its own once SSH is left out.

use events::source::sftp::read_reply;
use fuzz::Material;

const MATERIAL: Material = Material {
    examples: &[
        "\u{02}\0\0\0\u{03}\0\0\0\u{03}abc\0\0\0\u{01}1",
        "\u{65}\0\0\0\u{01}\0\0\0\u{02}\0\0\0\u{04}none\0\0\0\0",
        "\u{66}\0\0\0\u{01}\0\0\0\u{04}\0\0\0\0",
        "\u{68}\0\0\0\u{01}\0\0\0\u{01}\0\0\0\u{01}a\0\0\0\u{01}l\0\0\0\u{0f}\0\0\0\0\0\0\0\u{07}\0\0\0\u{01}\0\0\0\u{02}\0\0\u{81}\u{a4}\0\0\0\u{01}\0\0\0\u{02}",
        "\u{68}\0\0\0\u{01}\0\0\0\u{01}\0\0\0\u{01}a\0\0\0\0\u{80}\0\0\0\0\0\0\u{01}\0\0\0\u{01}x\0\0\0\0",
    ],
    tokens: &[
        "\0",
        "\0\0\0\0",
        "\0\0\0\u{01}",
        "\u{ff}\u{ff}\u{ff}\u{ff}",
        "\u{80}\0\0\0",
        "\u{68}\0\0\0\u{01}\u{7f}\u{ff}\u{ff}\u{ff}",
        "\u{66}",
        "..",
        "/",
    ],
};

#[test]
fn sftp_reply() {
    fuzz::run(MATERIAL, |text| {
        let packet = fuzz::bytes(text);
        match read_reply(&packet) {
            // Two lengths and the attributes that are there.
            Ok(names) => assert!(names * 12 <= packet.len(), "a name of nothing"),
            Err(error) => assert!(!error.to_string().is_empty(), "an error says what is wrong"),
        }
    });
}
