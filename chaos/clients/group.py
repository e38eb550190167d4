"""
Deletes a consumer group with its offsets, once it has no members: {"brokers", "group", "topic", "stays", "seconds"}.

What is in "stays" is committed again as it was, as [partition, offset, metadata]: then only what is not in it is lost, as if it
had expired. Kafka's clients have no request for that which librdkafka knows in Python. Nor can the metadata be read here: a
byte of what follows it in memory may come with it. And what is written here is not quite what it was: daemons take it for
metadata of another cluster, and begin new epochs. So what was accepted and not committed becomes rows twice.
"""

import sys
import time

from common import arguments
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

options = arguments()
group = options["group"]
admin = AdminClient({"bootstrap.servers": options["brokers"]})


def until_done(act):
    until = time.monotonic() + options["seconds"]
    while True:
        try:
            return act()
        except KafkaException as error:
            if time.monotonic() > until:
                sys.exit(str(error))
            time.sleep(0.5)


until_done(lambda: admin.delete_consumer_groups([group], request_timeout=5)[group].result(10))
if options["stays"]:
    again = [TopicPartition(options["topic"], *committed) for committed in options["stays"]]
    request = ConsumerGroupTopicPartitions(group, again)
    answer = until_done(lambda: admin.alter_consumer_group_offsets([request], request_timeout=5)[group].result(10))
    failed = [each for each in answer.topic_partitions if each.error is not None]
    if failed:
        sys.exit(f"not committed again: {failed}")
