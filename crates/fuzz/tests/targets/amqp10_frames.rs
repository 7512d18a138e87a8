//! Frames of AMQP 1.0 of a hub, and of whatever listens at the address of a source.

use events::amqp10::read_frames;
use fuzz::Material;

const MATERIAL: Material = Material {
    examples: &[
        // An open frame, a transfer with an annotation and a body, and a frame that is empty.
        "\0\0\0\u{15}\u{02}\0\0\0\0\u{53}\u{10}\u{c0}\u{08}\u{05}\u{a1}\u{01}a\u{40}\u{43}\u{40}\u{43}",
        "\0\0\0\u{2d}\u{02}\0\0\0\0\u{53}\u{14}\u{c0}\u{03}\u{02}\u{43}\u{43}\0\u{53}\u{72}\u{c1}\u{12}\u{02}\u{a3}\u{0c}x-opt-offset\u{a1}\u{01}7\0\u{53}\u{75}\u{a0}\u{01}b\0",
        "\0\0\0\u{08}\u{02}\0\0\0",
        "AMQP\0\u{01}\0\0",
    ],
    tokens: &[
        "\0",
        "\0\u{53}",
        "\0\u{53}\u{14}",
        "\0\u{53}\u{72}",
        "\0\u{53}\u{77}",
        "\0\u{a3}\u{01}a",
        "\u{40}",
        "\u{45}",
        "\u{c0}\u{01}\0",
        "\u{c1}",
        "\u{d0}\0\0\0",
        "\u{d1}\u{ff}\u{ff}\u{ff}\u{ff}",
        "\u{e0}",
        "\u{f0}\0\0\0\u{05}\u{ff}\u{ff}\u{ff}\u{ff}\u{40}",
        "\u{a1}",
        "\u{b1}\u{7f}\u{ff}\u{ff}\u{ff}",
        "\u{80}",
        "\0\0\u{01}\0\u{02}\0\0\0",
    ],
};

#[test]
fn amqp10_frames() {
    fuzz::run(MATERIAL, |text| {
        let bytes = fuzz::bytes(text);
        if let Ok(frames) = read_frames(&bytes) {
            assert!(frames * 8 <= bytes.len(), "a frame of nothing");
        }
    });
}
