"""Another client of a broker, for tests. The token to log in with is in PULSAR_TOKEN, if there is one.

publish PORT TOPIC [COMPRESSION]   publishes the JSON lines of the input as one batch: value or size, and key
alone PORT TOPIC [COMPRESSION]     the same, each by itself
chunks PORT TOPIC                  the same, each in chunks
numbers PORT TOPIC FROM TO         publishes {"n": FROM} and so on
consume PORT TOPIC COUNT           prints the first messages as JSON lines
"""

import json
import os
import sys
import uuid

import pulsar


def connect(server):
    token = os.environ.get("PULSAR_TOKEN")
    return pulsar.Client(
        server,
        authentication=pulsar.AuthenticationToken(token) if token else None,
        logger=pulsar.FileLogger(pulsar.LoggerLevel.Error, os.devnull),
    )


def checked(result, _message):
    if result != pulsar.Result.Ok:
        os._exit(1)


def send(server, topic, lines, **settings):
    client = connect(server)
    producer = client.create_producer(topic, block_if_queue_full=True, **settings)
    for line in lines:
        value = line["value"].encode() if "value" in line else b" " * line["size"]
        producer.send_async(value, checked, partition_key=line.get("key"))
    producer.flush()
    client.close()


def lines():
    return [json.loads(line) for line in sys.stdin]


def compression(name):
    return getattr(pulsar.CompressionType, name)


def publish(server, topic, name="NONE"):
    batch = {"batching_enabled": True, "batching_max_publish_delay_ms": 2000}
    send(server, topic, lines(), compression_type=compression(name), **batch)


def alone(server, topic, name="NONE"):
    send(server, topic, lines(), compression_type=compression(name), batching_enabled=False)


def chunks(server, topic):
    send(server, topic, lines(), batching_enabled=False, chunking_enabled=True)


def numbers(server, topic, first, end):
    all_lines = ({"value": '{"n":%d}' % n} for n in range(int(first), int(end)))
    send(server, topic, all_lines, batching_enabled=True, batching_max_messages=100)


def consume(server, topic, count):
    client = connect(server)
    position = pulsar.InitialPosition.Earliest
    consumer = client.subscribe(topic, str(uuid.uuid4()), initial_position=position)
    for _ in range(int(count)):
        message = consumer.receive(timeout_millis=100_000)
        print(json.dumps({"value": message.data().decode(), "topic": message.topic_name()}), flush=True)
        consumer.acknowledge(message)
    client.close()


what, port, *rest = sys.argv[1:]
actions = {"publish": publish, "alone": alone, "chunks": chunks, "numbers": numbers, "consume": consume}
actions[what](f"pulsar://localhost:{port}", *rest)
