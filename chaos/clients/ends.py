"""Writes where the logs of topics end, as the sum of their partitions: {"brokers", "topics", "out"}."""

import json

from common import arguments, consumer, partitions_of
from confluent_kafka import TopicPartition

options = arguments()
client = consumer(options["brokers"])


def end_of(topic):
    partitions = [TopicPartition(topic, each) for each in partitions_of(client, topic)]
    return sum(client.get_watermark_offsets(each, timeout=30)[1] for each in partitions)


with open(options["out"], "w", encoding="utf-8") as out:
    json.dump({topic: end_of(topic) for topic in options["topics"]}, out)
