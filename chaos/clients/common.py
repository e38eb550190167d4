"""What the harness's Kafka clients share. They are made with librdkafka: no line of the product reads what is checked."""

import hashlib
import json
import sys

from confluent_kafka import Consumer, KafkaError, TopicPartition

# 52 bits, so that a number of JavaScript holds them.
DIGEST_LETTERS = 13


def arguments():
    """The one argument of each script: a JSON object."""
    return json.loads(sys.argv[1])


def digest(data):
    return hashlib.md5(data).hexdigest()[:DIGEST_LETTERS]


def consumer(brokers, **more):
    return Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "harness",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            # It may come late, so that brokers answer few fetches.
            "fetch.min.bytes": 100_000,
            "fetch.wait.max.ms": 250,
            **more,
        }
    )


def partitions_of(client, topic):
    return sorted(client.list_topics(topic, timeout=30).topics[topic].partitions)


def assign(client, topic, only=None):
    """From their begins: all partitions, or one."""
    partitions = partitions_of(client, topic) if only is None else [only]
    client.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    return partitions


def is_end(message):
    return message.error() is not None and message.error().code() == KafkaError._PARTITION_EOF
