"""
Deletes a consumer group with its offsets, once it has no members: {"brokers", "group", "topic", "partition", "seconds"}.

With "partition" only what is committed of that one is lost, as if it had expired: the rest is committed again as it was, with
its metadata. Kafka's clients have no request for it that librdkafka knows in Python.
"""

import sys
import time

from common import arguments, consumer, partitions_of
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

options = arguments()
group, topic, lost = options["group"], options["topic"], options.get("partition")
admin = AdminClient({"bootstrap.servers": options["brokers"]})


def committed():
    """What is to stay."""
    if lost is None:
        return []
    client = consumer(options["brokers"], **{"group.id": group})
    asked = [TopicPartition(topic, partition) for partition in partitions_of(client, topic) if partition != lost]
    return [each for each in client.committed(asked, timeout=5) if each.offset >= 0]


def until_done(act):
    until = time.monotonic() + options["seconds"]
    while True:
        try:
            return act()
        except KafkaException as error:
            if time.monotonic() > until:
                sys.exit(str(error))
            time.sleep(0.5)


stays = until_done(committed)
until_done(lambda: admin.delete_consumer_groups([group], request_timeout=5)[group].result(10))
if stays:
    again = [TopicPartition(topic, each.partition, each.offset, each.metadata) for each in stays]
    request = ConsumerGroupTopicPartitions(group, again)
    until_done(lambda: admin.alter_consumer_group_offsets([request], request_timeout=5)[group].result(10))
