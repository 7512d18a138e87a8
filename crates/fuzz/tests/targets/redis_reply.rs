//! Replies of Redis, and of whatever listens at the address of a source.

use events::source::redis::read_reply;
use futures::executor::block_on;
use fuzz::Material;

/// Longest text that is kept.
const LONGEST: usize = 1024;

const MATERIAL: Material = Material {
    examples: &[
        "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n",
        "*1\r\n*2\r\n$6\r\norders\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n",
        "-WRONGPASS invalid username-password pair\r\n",
        ":1000\r\n",
        "$-1\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
    tokens: &[
        "*",
        "$",
        "+",
        "-",
        ":",
        "\r\n",
        "\n",
        "*-1\r\n",
        "*0\r\n",
        "*1\r\n",
        "$0\r\n\r\n",
        "$-1\r\n",
        "*9999999999\r\n",
        "$9999999999\r\n",
        "99999999999999999999",
        "-9223372036854775808",
        "+1",
        "\u{e9}",
        "\0",
    ],
};

#[test]
fn redis_reply() {
    fuzz::run(MATERIAL, |text| {
        if let Err(error) = block_on(read_reply(text.as_bytes(), LONGEST)) {
            assert!(!error.to_string().is_empty(), "an error says what is wrong");
        }
    });
}
