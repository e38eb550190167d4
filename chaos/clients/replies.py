"""
Follows the acknowledgements of records of the topic "of":
{"brokers", "topic", "of", "letters", "clickhouse", "table", "view", "out"}.

Notes every second how many records are acknowledged ("acknowledged": different ones; "acks": all). Of some it looks at once
whether they are true: the row of one that is inserted has to be there; of one that is rejected there is no row, but a dead
letter. "asked" and "askedRejected" count them, "wrong" has the place of each that is not true, and what is wrong. "unseen"
counts those of "asked" that the target of the materialized view did not have, which is right if the daemons say so.
"""

import json
import time
import urllib.error
import urllib.parse
import urllib.request

from common import arguments, assign, consumer
from confluent_kafka import KafkaException, TopicPartition

ASK_EVERY_SECONDS = 1.0
ASKED_MAX = 100
LETTER_SECONDS = 10
PREFIX = "__connect.errors."

options = arguments()


def places_with_rows(places, table):
    """Those of which a table has a row. None if ClickHouse does not answer, or the table is away."""
    if not places:
        return set()
    # One statement for all partitions: six a table and look took most of ClickHouse's time.
    among = ",".join(f"({partition},{offset})" for partition, offset in places)
    where = f"_topic = '{options['of']}' AND (_partition, _offset) IN ({among})"
    query = urllib.parse.urlencode({"query": f"SELECT _partition, _offset FROM {table} WHERE {where}"})
    try:
        with urllib.request.urlopen(f"{options['clickhouse']}/?{query}", timeout=5) as answer:
            return {tuple(map(int, line.split())) for line in answer.read().splitlines()}
    except (OSError, ValueError, urllib.error.URLError):
        return None


class Letters:
    """The dead letters, read as far as they are needed."""

    def __init__(self):
        self.client = consumer(options["brokers"], **{"group.id": "letters", "enable.partition.eof": False})
        self.partitions = assign(self.client, options["letters"])
        self.places = set()

    def read(self):
        """Reads up to where the logs end now. False if that is not known, or takes too long."""
        until = time.monotonic() + LETTER_SECONDS
        try:
            topic = options["letters"]
            ends = [self.client.get_watermark_offsets(TopicPartition(topic, each), timeout=5)[1] for each in self.partitions]
            while time.monotonic() < until:
                at = self.client.position([TopicPartition(topic, each) for each in self.partitions])
                # A position is not known before the first message.
                if all(end == 0 or position.offset >= end for end, position in zip(ends, at)):
                    return True
                for message in self.client.consume(1_000, 0.1):
                    if message.error() is None:
                        said = {name: data for name, data in message.headers() or []}
                        if said.get(PREFIX + "topic", b"").decode() == options["of"]:
                            self.places.add((int(said[PREFIX + "partition"]), int(said[PREFIX + "offset"])))
        except KafkaException:
            pass
        return False


letters = Letters()
client = consumer(options["brokers"], **{"enable.partition.eof": False})
assign(client, options["topic"])
seen = {}
acks = acknowledged = asked = asked_rejected = unseen = 0
noted_at = asked_at = 0.0
with open(options["out"], "w", encoding="utf-8") as out:
    while True:
        inserted, rejected = [], []
        for message in client.consume(1_000, 0.2):
            if message.error() is not None:
                continue
            ack = json.loads(message.value())
            if ack["topic"] != options["of"]:
                continue
            acks += 1
            partition, offset = ack["partition"], ack["offset"]
            marks = seen.setdefault(partition, bytearray())
            if offset >= len(marks):
                marks.extend(bytes(offset + 4_096 - len(marks)))
            if not marks[offset]:
                marks[offset] = 1
                acknowledged += 1
            (inserted if ack["status"] == "inserted" else rejected).append((partition, offset))
        now = time.time()
        wrong = []
        if (inserted or rejected) and now - asked_at >= ASK_EVERY_SECONDS:
            asked_at = now
            # The last ones: the others have waited for longer.
            inserted, rejected = inserted[-ASKED_MAX:], rejected[-ASKED_MAX:]
            # The view first: what it has not got by now is not there when the acknowledgement comes.
            viewed = places_with_rows(inserted, options["view"])
            there = places_with_rows([*inserted, *rejected], options["table"])
            if there is not None:
                asked += len(inserted)
                wrong += [[*each, "was acknowledged before its row could be queried"] for each in inserted if each not in there]
                wrong += [[*each, "was rejected, and its row is there"] for each in rejected if each in there]
            if viewed is not None:
                unseen += sum(each not in viewed for each in inserted)
            if there is not None and rejected and letters.read():
                asked_rejected += len(rejected)
                lost = [each for each in rejected if each not in letters.places]
                wrong += [[*each, "was rejected before its dead letter was there"] for each in lost]
        if wrong or now - noted_at >= 1:
            noted_at = now
            counts = {"acks": acks, "acknowledged": acknowledged, "asked": asked, "askedRejected": asked_rejected}
            out.write(json.dumps({"atMs": int(now * 1_000), **counts, "unseen": unseen, "wrong": wrong}) + "\n")
            out.flush()
