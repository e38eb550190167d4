"""
Reads a topic to the end that it has now, or only its "partition", committed records only if "isolation" does not say otherwise:
{"brokers", "topic", "kind", "out", "partition", "isolation", "group", "of"}.

`out` gets a line a message, of texts between tabs. Of kind "input": partition, offset, id, key ("\\N" if there is none),
the digest that the row has to have, the digest of the record as it is, and the code with which it has to be rejected (else
nothing). Of "replies", as far as they are of
records of the topic "of": partition and offset, partition and offset of the record, status, batch, code, and the record's id,
which is in a header that is copied, and the time. Of "letters":
partition and offset of the record, id, code, and the digest of the record as it is. Of "commits", which are in Kafka's own
topic: time, partition and offset of those of "group" for the topic "of".
"""

import json
import math
import re
import sys

from common import arguments, assign, consumer, digest, is_end
from confluent_kafka import TopicPartition

PREFIX = "__connect.errors."
ID = re.compile(rb'^\{"id":(\d+)|#(\d+)')


def id_in(value, headers):
    """A value that is too small for it has it in a header."""
    found = ID.search(value)
    return int(headers.get("id", b"-1")) if found is None else int(found.group(1) or found.group(2))


def as_it_is(message, headers):
    """Of a record, or of the dead letter that has to be the same: key, value, and the producer's own headers."""
    own = (headers.get("digest", b""), headers.get("expects", b""))
    return digest(b"\x1f".join([message.key() or b"", *own, message.value() or b""]))


def headers_of(message):
    # Of several headers of one name the last counts.
    return {name: data for name, data in message.headers() or []}


def input_line(message):
    headers = headers_of(message)
    key = message.key()
    made = headers.get("digest", b"").decode()
    row = f"{made}\x1f{made}\x1f{message.topic()}\x1f{message.timestamp()[1]}\x1f{(key or b'').decode()}"
    return (
        message.partition(),
        message.offset(),
        id_in(message.value(), headers),
        "\\N" if key is None else key.decode(),
        digest(row.encode()),
        as_it_is(message, headers),
        headers.get("expects", b"").decode(),
    )


def reply_line(message):
    ack = json.loads(message.value())
    if ack["topic"] != options["of"]:
        return None
    record = (ack["partition"], ack["offset"])
    said = (ack["status"], ack["batch"], ack.get("code", ""))
    number = int(headers_of(message).get("id", b"-1"))
    return (message.partition(), message.offset(), *record, *said, number, message.timestamp()[1])


def letter_line(message):
    headers = headers_of(message)
    said = lambda name: headers.get(PREFIX + name, b"").decode()
    # A signal that nobody knows has no topic.
    if said("topic") != options["of"]:
        return None
    number = id_in(message.value() or b"", headers)
    return (said("partition"), said("offset"), number, said("exception.class.name"), as_it_is(message, headers))


def commit_line(message):
    """
    Kafka's OffsetCommitKey (versions 0 and 1) and OffsetCommitValue: group, topic and partition; after the version the offset.
    None for what is no commit of the group, and for one that was deleted.
    """
    key, value = message.key() or b"", message.value()
    if value is None or int.from_bytes(key[:2], "big") > 1:
        return None
    texts, at = [], 2
    for _ in range(2):
        length = int.from_bytes(key[at : at + 2], "big")
        texts.append(key[at + 2 : at + 2 + length].decode())
        at += 2 + length
    if texts != [options["group"], options["of"]]:
        return None
    partition, offset = int.from_bytes(key[at : at + 4], "big"), int.from_bytes(value[2:10], "big", signed=True)
    return (message.timestamp()[1], partition, offset)


LINES = {"input": input_line, "replies": reply_line, "letters": letter_line, "commits": commit_line}

options = arguments()
line_of = LINES[options["kind"]]
client = consumer(options["brokers"], **{"isolation.level": options.get("isolation", "read_committed")})
unread = {
    partition: client.get_watermark_offsets(TopicPartition(options["topic"], partition), timeout=30, cached=False)[1]
    for partition in assign(client, options["topic"], options.get("partition"))
}
with open(options["out"], "w", encoding="utf-8") as out:
    while unread:
        for message in client.consume(10_000, 1.0):
            if is_end(message):
                unread.pop(message.partition(), None)
            elif message.error() is not None:
                print(message.error(), file=sys.stderr)
            else:
                line = line_of(message)
                if line is not None:
                    out.write("\t".join(map(str, line)) + "\n")
                # Who reads no faster than others write never comes to the end of the log.
                if message.offset() + 1 >= unread.get(message.partition(), math.inf):
                    del unread[message.partition()]
client.close()
