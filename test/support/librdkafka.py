"""Produces records as librdkafka writes them, and prints those that are committed, a line of JSON each."""

import base64
import json
import sys

from confluent_kafka import Producer

brokers, topic = sys.argv[1:3]
RECORDS = 300


def text(data):
    return None if data is None else base64.b64encode(data).decode()


def record(index, codec):
    keys = [None, b"", b"\x00\xff%d" % index]
    values = [None, b"", bytes(range(256)) * (index % 7), b"%s %d " % (codec.encode(), index) * 40]
    headers = [("a", b"1"), ("a", None), ("toString", b""), ("gr\u00f6\u00dfe", bytes([255, index % 256]))]
    return {
        "key": keys[index % 3],
        "value": values[index % 4],
        "headers": headers[: index % 5],
        "timestamp": 1700000000000 + index,
    }


def produce(producer, codec, is_committed):
    def delivered(sent):
        def report(error, message):
            if error is not None:
                sys.exit(str(error))
            if is_committed:
                headers = [[name, text(value)] for name, value in sent["headers"]]
                print(
                    json.dumps(
                        {
                            "offset": message.offset(),
                            "timestampMs": sent["timestamp"],
                            "key": text(sent["key"]),
                            "value": text(sent["value"]),
                            "headers": headers,
                        }
                    )
                )

        return report

    for index in range(RECORDS):
        sent = record(index, codec)
        producer.produce(topic, partition=0, on_delivery=delivered(sent), **sent)
    producer.flush(60)


for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
    options = {"bootstrap.servers": brokers, "compression.type": codec, "linger.ms": 50}
    produce(Producer(options), codec, True)
    producer = Producer({**options, "transactional.id": topic + codec})
    producer.init_transactions(60)
    for is_committed in [False, True]:
        producer.begin_transaction()
        produce(producer, codec, is_committed)
        if is_committed:
            producer.commit_transaction(60)
        else:
            producer.abort_transaction(60)
