"""
Follows the records and their acknowledgements: {"brokers", "topic", "replies", "out"}.

Notes twice a second what waits for its first acknowledgement. A line is a JSON object: "atMs"; by partition "read", how far
the records were read, and "waitingFrom", the first record that waits (as "read" if none does); and "waiting", how many do.
What is removed from the log waits no more.
"""

import json
import threading
import time

from common import arguments, consumer, partitions_of
from confluent_kafka import KafkaException, TopicPartition

NOTE_EVERY_SECONDS = 0.5
LOOK_EVERY_SECONDS = 1.0
CAPACITY = 65_536
RECORD, ACKNOWLEDGED, REMOVED = 1, 2, 4


class Partition:
    """Marks of a partition's records, by offset."""

    def __init__(self):
        self.marks = bytearray()
        self.read = self.low = self.first = self.waiting = 0

    def reach(self, offset):
        if offset >= len(self.marks):
            self.marks.extend(bytes(offset + CAPACITY - len(self.marks)))

    def has_record(self, offset):
        self.reach(offset)
        if offset < self.low:
            # It was fetched before it was removed.
            self.marks[offset] |= REMOVED
        elif self.marks[offset] == 0:
            self.waiting += 1
        self.marks[offset] |= RECORD
        self.read = max(self.read, offset + 1)

    def acknowledged(self, offset):
        self.reach(offset)
        if self.marks[offset] == RECORD:
            self.waiting -= 1
        self.marks[offset] |= ACKNOWLEDGED

    def begins_at(self, low):
        for offset in range(self.low, min(low, len(self.marks))):
            if self.marks[offset] == RECORD:
                self.waiting -= 1
                self.marks[offset] |= REMOVED
        self.low = max(self.low, low)

    def waiting_from(self):
        # What is before it never waits again.
        while self.first < self.read and self.marks[self.first] != RECORD:
            self.first += 1
        return self.first


class Begins(threading.Thread):
    """Looks at how many partitions there are, and where their logs begin. It may have to wait for brokers."""

    def __init__(self, options):
        super().__init__(daemon=True)
        self.options = options
        self.lows = {}

    def run(self):
        client = consumer(self.options["brokers"], **{"group.id": "begins"})
        topic = self.options["topic"]
        while True:
            try:
                for partition in partitions_of(client, topic):
                    self.lows[partition] = client.get_watermark_offsets(TopicPartition(topic, partition), timeout=5)[0]
            except KafkaException as error:
                print(f"{time.time():.0f} {error}", flush=True)
            time.sleep(LOOK_EVERY_SECONDS)


options = arguments()
topic, replies = options["topic"], options["replies"]
client = consumer(options["brokers"], **{"group.id": "waiting", "enable.partition.eof": False})
known = partitions_of(client, topic)
client.assign([TopicPartition(of, each, 0) for of in (topic, replies) for each in partitions_of(client, of)])
partitions = {each: Partition() for each in known}
begins = Begins(options)
begins.start()
noted_at = 0.0
with open(options["out"], "w", encoding="utf-8") as out:
    while True:
        for message in client.consume(1_000, 0.1):
            if message.error() is not None:
                continue
            if message.topic() == topic:
                partitions[message.partition()].has_record(message.offset())
            else:
                ack = json.loads(message.value())
                if ack["topic"] != topic:
                    continue
                partitions.setdefault(ack["partition"], Partition()).acknowledged(ack["offset"])
        now = time.time()
        if now - noted_at < NOTE_EVERY_SECONDS:
            continue
        noted_at = now
        for partition, low in list(begins.lows.items()):
            if partition not in known:
                known.append(partition)
                client.incremental_assign([TopicPartition(topic, partition, 0)])
            partitions.setdefault(partition, Partition()).begins_at(low)
        all_of = [partitions.get(each) or Partition() for each in range(max(partitions) + 1)]
        sample = {
            "atMs": int(now * 1_000),
            "read": [each.read for each in all_of],
            "waitingFrom": [each.waiting_from() for each in all_of],
            "waiting": sum(each.waiting for each in all_of),
        }
        out.write(json.dumps(sample) + "\n")
        out.flush()
