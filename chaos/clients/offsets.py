"""
Notes every second how far a group has committed and where the logs end: {"brokers", "topic", "group", "out"}.

A line is a JSON object: "atMs", "committed" and "ends" by partition. What the group has committed is asked first, so that no
end is older than it.
"""

import json
import time

from common import arguments, consumer, partitions_of
from confluent_kafka import KafkaException, TopicPartition

options = arguments()
client = consumer(options["brokers"], **{"group.id": options["group"]})
topic = options["topic"]
known = 1
with open(options["out"], "w", encoding="utf-8") as out:
    while True:
        try:
            # Some may be added.
            numbers = partitions_of(client, topic)
            if len(numbers) < known:
                raise KafkaException(f"a broker knows {len(numbers)} of {known} partitions")
            known = len(numbers)
            partitions = [TopicPartition(topic, partition) for partition in numbers]
            committed = [max(0, each.offset) for each in client.committed(partitions, timeout=5)]
            ends = [client.get_watermark_offsets(each, timeout=5)[1] for each in partitions]
            sample = {"atMs": int(time.time() * 1_000), "committed": committed, "ends": ends}
            out.write(json.dumps(sample) + "\n")
            out.flush()
        except KafkaException as error:
            print(f"{time.time():.0f} {error}", flush=True)
        time.sleep(1)
