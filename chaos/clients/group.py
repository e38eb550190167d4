"""Deletes a consumer group with its offsets, once it has no members: {"brokers", "group", "seconds"}."""

import sys
import time

from common import arguments
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

options = arguments()
admin = AdminClient({"bootstrap.servers": options["brokers"]})
until = time.monotonic() + options["seconds"]
while True:
    try:
        admin.delete_consumer_groups([options["group"]], request_timeout=5)[options["group"]].result(10)
        break
    except KafkaException as error:
        if time.monotonic() > until:
            sys.exit(str(error))
        time.sleep(0.5)
