//! Frames of an nsqd, and of whatever listens where a lookup service says that one does.

use events::source::nsq::read_frames;
use fuzz::Material;

/// Longest body that is kept.
const LONGEST: usize = 64;

const MATERIAL: Material = Material {
    examples: &[
        "\0\0\0\u{06}\0\0\0\0OK\0\0\0\u{0f}\0\0\0\0_heartbeat_",
        "\0\0\0\u{21}\0\0\0\u{02}\0\0\0\0\0\0\0\u{07}\0\u{01}0123456789abcdefbody!!!",
        "\0\0\0\u{0d}\0\0\0\u{01}E_INVALID",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
    tokens: &[
        "\0",
        "\0\0\0",
        "\0\0\0\u{02}",
        "\u{7f}\u{ff}\u{ff}\u{ff}",
        "\u{ff}\u{ff}\u{ff}\u{ff}",
        "\0\0\0\u{1e}\0\0\0\u{02}",
        "0123456789abcdef",
        "E_FIN_FAILED",
        "_heartbeat_",
    ],
};

#[test]
fn nsq_frames() {
    fuzz::run(MATERIAL, |text| {
        let bytes = fuzz::bytes(text);
        match read_frames(&bytes, LONGEST) {
            // The shortest frame is its size and its type.
            Ok(frames) => assert!(frames * 8 <= bytes.len(), "a frame of nothing"),
            Err(error) => drop(error.to_string()),
        }
    });
}
