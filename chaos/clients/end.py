"""
Writes where the log of a partition ends, and where what may be read of it does: {"brokers", "topic", "partition", "out"}. These
are the same unless a transaction is open.
"""

import json

from common import arguments, consumer
from confluent_kafka import TopicPartition

options = arguments()
place = TopicPartition(options["topic"], options["partition"])


def end(isolation):
    client = consumer(options["brokers"], **{"isolation.level": isolation})
    return client.get_watermark_offsets(place, timeout=20)[1]


# In this order: what is written meanwhile makes a transaction look open.
readable = end("read_committed")
with open(options["out"], "w", encoding="utf-8") as out:
    json.dump({"readable": readable, "end": end("read_uncommitted")}, out)
