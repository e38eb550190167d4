"""
Produces records at an even pace, some of them bad, and beside them transactions that are committed or aborted.

{"brokers", "topic", "records", "seconds", "seed", "out", "firstId", "keys", "badEvery", "bytesMax", "transactions", "eachPartition"}

Each value has an id. At the end `out` gets, as ranges of ids, which of them the broker has taken ("written"), which it was
told to abort ("aborted"), and of which nobody knows ("unknown").
"""

import functools
import json
import random
import threading
import time

from common import arguments, partitions_of
from confluent_kafka import KafkaException, Producer
from records import TRANSACTION_IDS, Records

TRANSACTION_EVERY_SECONDS = 3
TRANSACTION_RECORDS = 20
FLUSH_SECONDS = 180
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
UNKNOWN, WRITTEN = 0, 1

options = arguments()
# By number since the first id: those of ten million records are ten megabytes.
fates = bytearray(options["records"])
of_transactions = {"written": [], "aborted": [], "unknown": []}


def ranges(fate):
    """Ranges of ids with that fate, both ends included."""
    found, at = [], fates.find(fate)
    while at >= 0:
        end = fates.find(1 - fate, at)
        end = len(fates) if end < 0 else end
        found.append([options["firstId"] + at, options["firstId"] + end - 1])
        at = fates.find(fate, end)
    return found


def common(codec):
    return {
        "bootstrap.servers": options["brokers"],
        # Small batches cost brokers that share a machine more than all else.
        "linger.ms": 200,
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "message.timeout.ms": 600_000,
        "compression.type": codec,
        # Partitions may be added.
        "topic.metadata.refresh.interval.ms": 5_000,
    }


def send(producer, records, number, on_delivery, **more):
    key, value, headers = records.record(number)
    while True:
        try:
            producer.produce(options["topic"], key=key, value=value, headers=headers, on_delivery=on_delivery, **more)
            return
        except BufferError:
            producer.poll(0.1)


def settle(index, error, _message):
    if error is None:
        fates[index] = WRITTEN


def after(act, producer, codec):
    """
    The producer after an act of it: another one after a fatal error, such as sequence numbers that an unclean election has taken
    away. What it had not sent yet stays unknown.
    """
    try:
        act()
        return producer
    # The second one if the first one is raised while delivery reports are served.
    except (KafkaException, SystemError):
        return Producer(common(codec))


def produce():
    records = Records(options["seed"], options["keys"], options["badEvery"], options["bytesMax"])
    codec = random.Random(options["seed"]).choice(CODECS)
    producer = Producer(common(codec))
    begun = time.monotonic()
    count, sent = options["records"], 0
    partitions = partitions_of(producer, options["topic"]) if options["eachPartition"] else []
    while sent < count:
        passed = time.monotonic() - begun
        due = count if passed >= options["seconds"] else int(count * passed / options["seconds"])
        while sent < due:
            more = {"partition": partitions[sent % len(partitions)]} if partitions else {}
            settled = functools.partial(settle, sent)
            number = options["firstId"] + sent
            producer = after(lambda: send(producer, records, number, settled, **more), producer, codec)
            sent += 1
            # Else the reports of ten thousand records wait for the next pause.
            if sent % 1_000 == 0:
                producer = after(lambda: producer.poll(0), producer, codec)
        producer = after(lambda: producer.poll(0.02), producer, codec)
        # Beyond its time it sends what is left at once, once.
        if passed >= options["seconds"]:
            break
    after(lambda: producer.flush(FLUSH_SECONDS), producer, codec)


def transactional():
    more = {"message.timeout.ms": 20_000, "transactional.id": options["topic"], "transaction.timeout.ms": 20_000}
    producer = Producer({**common("none"), **more})
    producer.init_transactions(60)
    return producer


def transact(until):
    records = Records(options["seed"] + 1, options["keys"], options["badEvery"])
    first = TRANSACTION_IDS
    producer = None
    while time.monotonic() < until:
        last = first + TRANSACTION_RECORDS - 1
        is_committed = records.draw.random() < 0.5
        fate = "unknown"
        try:
            if producer is None:
                producer = transactional()
            producer.begin_transaction()
            for number in range(first, last + 1):
                send(producer, records, number, None)
            producer.flush(20)
            if is_committed:
                producer.commit_transaction(30)
            else:
                producer.abort_transaction(30)
            fate = "written" if is_committed else "aborted"
        except KafkaException:
            producer = None
        of_transactions[fate].append([first, last])
        first = last + 1
        time.sleep(TRANSACTION_EVERY_SECONDS)


threads = []
if options["transactions"]:
    ends_at = time.monotonic() + options["seconds"] - TRANSACTION_EVERY_SECONDS
    threads.append(threading.Thread(target=transact, args=[ends_at]))
for thread in threads:
    thread.start()
produce()
for thread in threads:
    thread.join()
with open(options["out"], "w", encoding="utf-8") as out:
    found = {"written": ranges(WRITTEN), "aborted": [], "unknown": ranges(UNKNOWN)}
    json.dump({fate: [*found[fate], *of_transactions[fate]] for fate in found}, out)
