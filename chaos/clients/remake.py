"""
Deletes a topic and creates it again: {"brokers", "topic", "partitions", "seconds"}. Ends when brokers know the new one, which
has another id.
"""

import sys
import time

from common import arguments
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic

options = arguments()
topic = options["topic"]
admin = AdminClient({"bootstrap.servers": options["brokers"]})
until = time.monotonic() + options["seconds"]


def topic_id():
    """None if there is no such topic."""
    try:
        described = admin.describe_topics(TopicCollection([topic]), request_timeout=5)[topic].result(10)
        return str(described.topic_id)
    except KafkaException:
        return None


def attempt(futures):
    try:
        futures[topic].result(10)
    except KafkaException as error:
        print(f"{time.time():.0f} {error}", flush=True)


# It may be away already: another try has deleted it.
before = topic_id()
while True:
    now = topic_id()
    if now is not None and now != before:
        break
    if time.monotonic() > until:
        sys.exit("the topic is not made again")
    if now is not None:
        attempt(admin.delete_topics([topic], request_timeout=5))
    else:
        attempt(admin.create_topics([NewTopic(topic, num_partitions=options["partitions"])], request_timeout=5))
    time.sleep(0.5)
