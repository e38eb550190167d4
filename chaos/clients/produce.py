"""
Produces records at an even pace, some of them bad, and beside them transactions that are committed or aborted.

{"brokers", "topic", "records", "seconds", "seed", "out", "firstId", "keys", "badEvery", "transactions", "eachPartition"}

Each value has an id. At the end `out` gets, as ranges of ids, which of them the broker has taken ("written"), which it was
told to abort ("aborted"), and of which nobody knows ("unknown").
"""

import json
import random
import threading
import time

from common import arguments, partitions_of
from confluent_kafka import KafkaException, Producer

TRANSACTION_IDS = 1_000_000_000
TRANSACTION_EVERY_SECONDS = 3
TRANSACTION_RECORDS = 20
FLUSH_SECONDS = 180
LONG_TEXT_EVERY = 2_000

options = arguments()
lock = threading.Lock()
fates = {"written": set(), "aborted": set(), "unknown": set()}


def settle(fate, ids):
    with lock:
        fates[fate].update(ids)


def ranges(ids):
    found = []
    for number in sorted(ids):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def text_of(draw, number):
    words = 2_000 if number % LONG_TEXT_EVERY == 7 else draw.randrange(4, 20)
    return " ".join(f"{draw.randrange(1 << 32):x}" for _ in range(words))


def record(draw, number):
    """Key and value. Every one that is bad is bad in another way than the last one."""
    key = f"key-{draw.randrange(options['keys'])}"
    fields = {"id": number, "key": key, "amount": draw.randrange(1_000_000), "text": text_of(draw, number)}
    if number < TRANSACTION_IDS and options["badEvery"] and number % options["badEvery"] == options["badEvery"] - 1:
        kind = number // options["badEvery"] % 3
        if kind == 0:
            return key, f"#{number} is no JSON".encode()
        if kind == 1:
            return key, json.dumps([f"#{number} is no object"]).encode()
        fields["amount"] = "many"
    return key, json.dumps(fields).encode()


def common():
    return {
        "bootstrap.servers": options["brokers"],
        "linger.ms": 20,
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "message.timeout.ms": 240_000,
        # Partitions may be added.
        "topic.metadata.refresh.interval.ms": 5_000,
    }


def send(producer, draw, number, on_delivery, **more):
    key, value = record(draw, number)
    while True:
        try:
            producer.produce(options["topic"], key=key, value=value, on_delivery=on_delivery, **more)
            return
        except BufferError:
            producer.poll(0.1)


def reported(number):
    return lambda error, _message: settle("written" if error is None else "unknown", [number])


def produce():
    draw = random.Random(options["seed"])
    producer = Producer(common())
    begun = time.monotonic()
    records, sent = options["records"], 0
    partitions = partitions_of(producer, options["topic"]) if options["eachPartition"] else []
    while sent < records:
        passed = time.monotonic() - begun
        due = records if passed >= options["seconds"] else int(records * passed / options["seconds"])
        while sent < due:
            number = options["firstId"] + sent
            more = {"partition": partitions[sent % len(partitions)]} if partitions else {}
            try:
                send(producer, draw, number, reported(number), **more)
            except KafkaException:
                # Fatal: what it had not sent yet is reported as unknown.
                settle("unknown", [number])
                producer.flush(1)
                producer = Producer(common())
            sent += 1
        producer.poll(0.02)
        # Beyond its time it sends what is left at once, once.
        if passed >= options["seconds"]:
            break
    producer.flush(FLUSH_SECONDS)


def transactional():
    producer = Producer(
        {**common(), "message.timeout.ms": 20_000, "transactional.id": options["topic"], "transaction.timeout.ms": 20_000}
    )
    producer.init_transactions(60)
    return producer


def transact(until):
    draw = random.Random(options["seed"] + 1)
    number = TRANSACTION_IDS
    producer = None
    while time.monotonic() < until:
        ids = range(number, number + TRANSACTION_RECORDS)
        number += TRANSACTION_RECORDS
        is_committed = draw.random() < 0.5
        try:
            if producer is None:
                producer = transactional()
            producer.begin_transaction()
            for each in ids:
                send(producer, draw, each, None)
            producer.flush(20)
            if is_committed:
                producer.commit_transaction(30)
            else:
                producer.abort_transaction(30)
            settle("written" if is_committed else "aborted", ids)
        except KafkaException:
            settle("unknown", ids)
            producer = None
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
sent = range(options["firstId"], options["firstId"] + options["records"])
fates["unknown"].update(set(sent) - fates["written"] - fates["unknown"])
with open(options["out"], "w", encoding="utf-8") as out:
    json.dump({fate: ranges(ids) for fate, ids in fates.items()}, out)
