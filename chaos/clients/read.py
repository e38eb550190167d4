"""
Reads a topic to its end, committed records only: {"brokers", "topic", "kind", "out"}.

`out` gets a JSON array a line. Of kind "input": partition, offset, key, id, digest of the text, digest of the value. Of
"replies": partition, offset, key, and partition, offset, status, batch and code of the acknowledgement. Of "letters":
partition and offset of the record, id, code, digest of the value.
"""

import json
import sys

from common import arguments, assign_all, consumer, digest, is_end, read_value

PREFIX = "__connect.errors."


def input_line(message):
    number, text = read_value(message.value())
    key = message.key()
    return [message.partition(), message.offset(), key and key.decode(), number, text, digest(message.value() or b"")]


def reply_line(message):
    ack = json.loads(message.value())
    key = message.key()
    source = [ack["partition"], ack["offset"], ack["status"], ack["batch"], ack.get("code", "")]
    return [message.partition(), message.offset(), key and key.decode(), *source]


def letter_line(message):
    # Of several headers of one name the last counts.
    headers = {name: data for name, data in message.headers() or []}
    said = lambda name: headers[PREFIX + name].decode()
    number, _ = read_value(message.value())
    code = said("exception.class.name")
    return [int(said("partition")), int(said("offset")), number, code, digest(message.value() or b"")]


LINES = {"input": input_line, "replies": reply_line, "letters": letter_line}

options = arguments()
line_of = LINES[options["kind"]]
client = consumer(options["brokers"])
unread = set(assign_all(client, options["topic"]))
with open(options["out"], "w", encoding="utf-8") as out:
    while unread:
        for message in client.consume(2_000, 1.0):
            if is_end(message):
                unread.discard(message.partition())
            elif message.error() is not None:
                print(message.error(), file=sys.stderr)
            else:
                out.write(json.dumps(line_of(message)) + "\n")
client.close()
