"""
Creates topics: {"brokers", "topics": {name: partitions}, "replicas": {name: copies}, "settings": {name: {setting: value}}}. A
topic that has no number of copies gets as many as the brokers say.
"""

from common import arguments
from confluent_kafka.admin import AdminClient, NewTopic

options = arguments()
admin = AdminClient({"bootstrap.servers": options["brokers"]})
topics = [
    NewTopic(
        name,
        num_partitions=partitions,
        replication_factor=options["replicas"].get(name, -1),
        config=options["settings"].get(name, {}),
    )
    for name, partitions in options["topics"].items()
]
for created in admin.create_topics(topics, operation_timeout=30, request_timeout=40).values():
    created.result(60)
