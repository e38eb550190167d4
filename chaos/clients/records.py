"""
The records that the harness produces, and what their rows have to be.

A row is judged by a digest. The producer makes it from the values that it draws, and sends it in a header, which becomes a
column of the row. ClickHouse makes it again from the columns (chaos/columns.ts): so no parser of JSON is trusted.
"""

import datetime
import hashlib
import json
import random
import struct

BODIES = 1_024
LARGE_BODIES = 16
LARGE_EVERY = 2_000
KEYLESS_SHARE = 0.02
# About as many as a word takes in JSON.
BYTES_OF_WORD = 11
TRANSACTION_IDS = 1_000_000_000

# In chaos/columns.ts, too.
FIELD_END, ITEM_END = "\x1f", "\x1e"

WORDS = ["plain", "ein Straßenname", "naïve", "日本語", "🙂👍🏽", "עברית", '"quoted"', "back\\slash", "tab\tand\nline", "\u200b", "\u0001", ""]
INTEGERS = [0, 1, -1, 2**31, -(2**31), 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]
UNSIGNED = [0, 1, 2**32, 2**53 + 1, 2**63, 2**64 - 1]
DOUBLES = [0.0, 0.1, -1.5, 1e-300, 1.7976931348623157e308, 0.12345678901234568, 16777217.0]


def text_of(draw, words):
    return " ".join(draw.choice(WORDS) if draw.random() < 0.3 else f"{draw.randrange(1 << 32):x}" for _ in range(words))


def decimal_of(draw):
    """A number with four digits after the point, in the form in which ClickHouse writes it, and as JSON."""
    units = draw.choice([0, 1, -1, 10**18 - 1, -(10**18) + 1, draw.randrange(10**9)])
    sign, whole, part = "-" if units < 0 else "", *divmod(abs(units), 10_000)
    exact = f"{sign}{whole}.{part:04d}"
    shortest = exact.rstrip("0").rstrip(".")
    return shortest, draw.choice([exact, f'"{exact}"', shortest])


def time_of(draw):
    """Microseconds since 1970, and a text that says so."""
    at = draw.randrange(0, 4_000_000_000_000_000)
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=at)
    return at, moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


def document_of(draw, depth):
    kind = draw.randrange(6 if depth > 0 else 4)
    if kind == 4:
        return [document_of(draw, depth - 1) for _ in range(draw.randrange(4))]
    if kind == 5:
        return {f"field {index}": document_of(draw, depth - 1) for index in range(draw.randrange(4))}
    return [draw.choice(INTEGERS), text_of(draw, 2), draw.random() < 0.5, None][kind]


class Body:
    """Everything of a record but its id: many records share it."""

    def __init__(self, draw, keys, words):
        self.key = f"key-{draw.randrange(keys)}"
        escapes = draw.random() < 0.5
        written = lambda value: json.dumps(value, ensure_ascii=escapes)
        amount, big, huge = draw.randrange(1_000_000), draw.choice(INTEGERS), draw.choice(UNSIGNED)
        price, price_json = decimal_of(draw)
        text = text_of(draw, words)
        note = draw.choice([None, "", text_of(draw, 1)])
        tags = [text_of(draw, 1) for _ in range(draw.randrange(4))]
        numbers = [draw.choice(INTEGERS) for _ in range(draw.randrange(4))]
        # As a String column keeps it: byte by byte. Of texts with escapes ClickHouse would keep the escapes.
        document = json.dumps({"of": self.key, "is": document_of(draw, 3)}, ensure_ascii=escapes)
        at, at_text = time_of(draw)
        flag, ratio = draw.random() < 0.5, draw.choice([*DOUBLES, draw.random()])
        self.fields = {
            "key": written(self.key),
            "amount": str(amount),
            "big": str(big) if draw.random() < 0.5 else f'"{big}"',
            "huge": str(huge),
            "price": price_json,
            "text": written(text),
            "note": written(note),
            "tags": written(tags),
            "numbers": written(numbers),
            "document": document,
            "at": written(at_text),
            "flag": written(flag),
            "ratio": repr(ratio),
        }
        if note is None and draw.random() < 0.5:
            del self.fields["note"]
        said = [
            self.key,
            str(amount),
            str(big),
            str(huge),
            price,
            text,
            "\\N" if note is None else f"={note}",
            ITEM_END.join(tags),
            ITEM_END.join(map(str, numbers)),
            document,
            str(at),
            "1" if flag else "0",
            str(struct.unpack("<Q", struct.pack("<d", ratio))[0]),
        ]
        self.digest = hashlib.md5("".join(f"{value}{FIELD_END}" for value in said).encode())
        self.json = self.json_with({})
        self.is_keyless = draw.random() < KEYLESS_SHARE

    def json_with(self, changes):
        fields = {**self.fields, **changes}
        return ",".join(f'"{name}":{value}' for name, value in fields.items()).encode() + b"}"

    def digest_of(self, number):
        digest = self.digest.copy()
        digest.update(b"%d" % number)
        return digest.hexdigest()


class Records:
    """Draws records: the same seed draws the same ones."""

    def __init__(self, seed, keys, bad_every, bytes_max=0):
        self.draw = random.Random(seed)
        self.keys = keys
        self.bad_every = bad_every
        self.bytes_max = bytes_max
        self.bodies = [Body(self.draw, keys, self.draw.randrange(0, 20)) for _ in range(BODIES)]
        self.large = [Body(self.draw, keys, 2_000) for _ in range(LARGE_BODIES)]

    def record(self, number):
        """
        Key, value and headers. Those of "digest" have to become a row, and that has to be its digest; those of "expects"
        have to be rejected, with that code. The id is in a header, too, for acknowledgements.
        """
        if self.bytes_max:
            return self.of_any_size(number)
        body = self.draw.choice(self.large if number % LARGE_EVERY == 7 else self.bodies)
        key = None if body.is_keyless else body.key
        if number < TRANSACTION_IDS and self.bad_every and number % self.bad_every == self.bad_every - 1:
            code, value = self.bad(body, number)
            return key, value, [("expects", code), ("id", b"%d" % number)]
        return key, b'{"id":%d,%b' % (number, body.json), [("digest", body.digest_of(number)), ("id", b"%d" % number)]

    def of_any_size(self, number):
        """From a byte on. What is too small to hold all fields is no JSON."""
        size = int(self.bytes_max ** self.draw.random())
        body = self.draw.choice(self.bodies)
        key = None if body.is_keyless else body.key
        if size < len(body.json):
            return key, b"x" * size, [("expects", "not_json"), ("id", b"%d" % number)]
        body = Body(self.draw, self.keys, size // BYTES_OF_WORD)
        # Rarely its words are longer than usual.
        while len(body.json) > self.bytes_max:
            body = Body(self.draw, self.keys, size // BYTES_OF_WORD // 2)
        return key, b'{"id":%d,%b' % (number, body.json), [("digest", body.digest_of(number)), ("id", b"%d" % number)]

    def bad(self, body, number):
        """Every one is bad in another way than the last one."""
        kind = number // self.bad_every % 4
        if kind == 0:
            return "not_json", b"#%d is no JSON" % number
        if kind == 1:
            return "not_object", b'["#%d is no object"]' % number
        if kind == 2:
            return "out_of_range", b'{"id":%d,%b' % (number, body.json_with({"amount": "3000000000"}))
        return "refused_by_clickhouse", b'{"id":%d,%b' % (number, body.json_with({"amount": '"many"'}))
