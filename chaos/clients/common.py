"""What the harness's Kafka clients share. They are made with librdkafka: no line of the product reads what is checked."""

import hashlib
import json
import re
import sys

from confluent_kafka import Consumer, KafkaError, TopicPartition

ID_IN_TEXT = re.compile(rb"#(\d+)")


def arguments():
    """The one argument of each script: a JSON object."""
    return json.loads(sys.argv[1])


def digest(data):
    return hashlib.md5(data).hexdigest()


def read_value(value):
    """The producer's id in a value and the digest of its text; -1 and "" if there is none."""
    try:
        fields = json.loads(value)
        if isinstance(fields, dict):
            text = fields.get("text")
            return fields.get("id", -1), digest(text.encode()) if isinstance(text, str) else ""
    except (TypeError, ValueError):
        pass
    found = ID_IN_TEXT.search(value or b"")
    return (int(found.group(1)) if found else -1), ""


def consumer(brokers, **more):
    return Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "harness",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            **more,
        }
    )


def partitions_of(client, topic):
    return sorted(client.list_topics(topic, timeout=30).topics[topic].partitions)


def assign_all(client, topic):
    partitions = partitions_of(client, topic)
    client.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    return partitions


def is_end(message):
    return message.error() is not None and message.error().code() == KafkaError._PARTITION_EOF
