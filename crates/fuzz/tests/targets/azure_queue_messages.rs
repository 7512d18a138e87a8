//! Answers of the queues of Azure Storage, and of whatever listens at the address of a source.

use events::azure_storage::messages;
use fuzz::Material;

/// Messages that are asked for.
const MOST: usize = 4;

const MATERIAL: Material = Material {
    examples: &[
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><QueueMessagesList><QueueMessage><MessageId>m</MessageId>\
         <InsertionTime>Fri, 02 Jan 2026 03:04:05 GMT</InsertionTime><PopReceipt>r&amp;</PopReceipt>\
         <MessageText>&lt;a&gt; &#x26;</MessageText></QueueMessage></QueueMessagesList>",
        "<QueueMessagesList />",
        "<html><body>no</body></html>",
    ],
    tokens: &[
        "<",
        ">",
        "/>",
        "</",
        "&",
        ";",
        "&#x110000;",
        "&#0;",
        "&lt;",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<!DOCTYPE a [<!ENTITY b \"c\">]>",
        "&b;",
        "<?",
        "?>",
        "<a>",
        "</a>",
        "<QueueMessage>",
        "</QueueMessage>",
        "<QueueMessagesList>",
        "</QueueMessagesList>",
        " a='b'",
        "\0",
    ],
};

#[test]
fn azure_queue_messages() {
    fuzz::run(MATERIAL, |text| {
        let found = messages(text, MOST).unwrap_or_default();
        assert!(found.len() <= MOST, "more than was asked for");
        assert!(found.iter().all(|message| !message.id.is_empty()));
    });
}
