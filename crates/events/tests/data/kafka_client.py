"""Another client of a broker, for tests.

create PORT TOPIC PARTITIONS
publish PORT TOPIC [COMPRESSION]   publishes the JSON lines of the input: value or size, key, headers, partition
numbers PORT TOPIC FROM TO         publishes {"n": FROM} and so on
consume PORT TOPIC COUNT           prints the first records as JSON lines
"""

import json
import sys

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

LARGEST = 64 << 20


def producer(server, compression=None):
    return KafkaProducer(
        bootstrap_servers=server,
        acks="all",
        compression_type=compression,
        max_request_size=LARGEST,
    )


def publish(server, topic, compression=None):
    with_server = producer(server, compression)
    for line in sys.stdin:
        record = json.loads(line)
        value = record["value"].encode() if "value" in record else b" " * record["size"]
        key = record.get("key")
        headers = [(name, text.encode()) for name, text in record.get("headers", {}).items()]
        sent = with_server.send(
            topic,
            value,
            key=key.encode() if key else None,
            headers=headers,
            partition=record.get("partition"),
            timestamp_ms=record.get("timestamp"),
        )
        sent.get(timeout=100)
    with_server.close()


def numbers(server, topic, first, end):
    with_server = producer(server)
    sent = [with_server.send(topic, b'{"n":%d}' % n) for n in range(int(first), int(end))]
    with_server.flush()
    for record in sent:
        record.get(timeout=100)
    with_server.close()


def consume(server, topic, count):
    consumer = KafkaConsumer(topic, bootstrap_servers=server, auto_offset_reset="earliest")
    for _, record in zip(range(int(count)), consumer):
        text = lambda data: None if data is None else data.decode()
        print(
            json.dumps(
                {
                    "key": text(record.key),
                    "value": text(record.value),
                    "partition": record.partition,
                    "headers": {name: text(value) for name, value in record.headers},
                }
            ),
            flush=True,
        )


def create(server, topic, partitions):
    admin = KafkaAdminClient(bootstrap_servers=server)
    admin.create_topics([NewTopic(topic, int(partitions), 1)])
    admin.close()


what, port, *rest = sys.argv[1:]
{"create": create, "publish": publish, "numbers": numbers, "consume": consume}[what](f"127.0.0.1:{port}", *rest)
