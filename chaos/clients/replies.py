"""
Follows the acknowledgements: {"brokers", "topic", "clickhouse", "table", "out"}.

Notes every second how many records are acknowledged ("acknowledged": different ones; "acks": all). Of some positive ones it
asks ClickHouse at once for the row: "asked" counts them, "absent" has the place of each whose row was not there.
"""

import json
import time
import urllib.error
import urllib.parse
import urllib.request

from common import arguments, assign_all, consumer

ASK_EVERY_SECONDS = 0.2

options = arguments()


def row_count(partition, offset):
    """None if ClickHouse does not answer."""
    where = f"_partition = {partition} AND _offset = {offset}"
    query = urllib.parse.urlencode({"query": f"SELECT count() FROM {options['table']} WHERE {where}"})
    try:
        with urllib.request.urlopen(f"{options['clickhouse']}/?{query}", timeout=5) as answer:
            return int(answer.read())
    except (OSError, ValueError, urllib.error.URLError):
        return None


client = consumer(options["brokers"], **{"enable.partition.eof": False})
assign_all(client, options["topic"])
seen = {}
acks = acknowledged = asked = 0
noted_at = asked_at = 0.0
with open(options["out"], "w", encoding="utf-8") as out:
    while True:
        last = None
        for message in client.consume(1_000, 0.2):
            if message.error() is not None:
                continue
            ack = json.loads(message.value())
            acks += 1
            offset = ack["offset"]
            marks = seen.setdefault(ack["partition"], bytearray())
            if offset >= len(marks):
                marks.extend(bytes(offset + 4_096 - len(marks)))
            if not marks[offset]:
                marks[offset] = 1
                acknowledged += 1
            if ack["status"] == "inserted":
                last = ack
        now = time.time()
        absent = []
        if last is not None and now - asked_at >= ASK_EVERY_SECONDS:
            asked_at = now
            count = row_count(last["partition"], last["offset"])
            if count is not None:
                asked += 1
            if count == 0:
                absent.append([last["partition"], last["offset"]])
        if absent or now - noted_at >= 1:
            noted_at = now
            note = {"atMs": int(now * 1_000), "acks": acks, "acknowledged": acknowledged, "asked": asked}
            out.write(json.dumps({**note, "absent": absent}) + "\n")
            out.flush()
