"""Writes Protobuf with Google's own library, by lines of JSON: {"files": {path: text}, "message": name, "value": ...} in,
base64 out. The value is in the form of Protobuf's JSON.

With {"random": count, "seed": n} instead of the value it makes messages of its own. Then a line has for each message its
bytes and the text that each of its fields must have in the table.
"""

import base64
import datetime
import json
import os
import random
import struct
import sys
import tempfile

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_tools import protoc


def pool_of(files):
    with tempfile.TemporaryDirectory() as directory:
        for path, text in files.items():
            target = os.path.join(directory, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "w", encoding="utf-8") as file:
                file.write(text)
        included = os.path.join(os.path.dirname(protoc.__file__), "_proto")
        out = os.path.join(directory, "out")
        options = ["", f"-I{directory}", f"-I{included}", "--include_imports", f"--descriptor_set_out={out}"]
        if protoc.main([*options, *files]) != 0:
            raise SystemExit("protoc refuses a schema")
        files_read = descriptor_pb2.FileDescriptorSet()
        with open(out, "rb") as file:
            files_read.ParseFromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files_read.file:
        pool.Add(file)
    return pool


def encoded(message):
    return base64.b64encode(message.SerializeToString()).decode()


def random_message(make, rng):
    """A message of test.Random, and what its columns have to hold."""
    message = make()
    stored = {}
    signed32 = lambda: rng.choice([0, 1, -1, 2**31 - 1, -(2**31), rng.randint(-(2**31), 2**31 - 1)])
    signed64 = lambda: rng.choice([0, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), rng.randint(-(2**63), 2**63 - 1)])
    unsigned64 = lambda: rng.choice([0, 2**53 + 1, 2**64 - 1, rng.randint(0, 2**64 - 1)])
    text = lambda: "".join(rng.choice(["a", "\u00e4", '"', "\\", "\n", "\x01", "\U0001d11e"]) for _ in range(rng.randint(0, 6)))
    raw = lambda: bytes(rng.randint(0, 255) for _ in range(rng.randint(0, 6)))
    for name in ["int32", "sint32", "sfixed32"]:
        stored[name] = signed32()
    for name in ["int64", "sint64", "sfixed64"]:
        stored[name] = signed64()
    for name in ["uint64", "fixed64"]:
        stored[name] = unsigned64()
    stored["uint32"] = rng.randint(0, 2**32 - 1)
    stored["double"] = struct.unpack("<d", struct.pack("<d", rng.uniform(-1e9, 1e9)))[0]
    stored["text"] = text()
    stored["raw"] = raw()
    for name, value in stored.items():
        setattr(message, f"f_{name}", value)
    numbers = [signed64() for _ in range(rng.randint(0, 4))]
    message.f_many.extend(numbers)
    entries = {text(): unsigned64() for _ in range(rng.randint(0, 3))}
    for key, value in entries.items():
        message.f_map[key] = value
    maybe = signed64() if rng.random() < 0.5 else None
    if maybe is not None:
        message.f_maybe = maybe
    moment = rng.randint(0, 4_000_000_000), rng.randint(0, 999_999_999)
    message.f_moment.seconds, message.f_moment.nanos = moment
    inner = signed64()
    message.f_inner.inner.number = inner
    which = rng.randint(0, 2)
    if which == 1:
        message.f_left = rng.randint(0, 1)
    if which == 2:
        message.f_right = text()
    when = datetime.datetime.fromtimestamp(moment[0], datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    columns = {f"f_{name}": str(value) for name, value in stored.items() if name not in ("raw", "double")}
    columns["f_raw"] = stored["raw"].hex().upper()
    columns["f_double"] = str(struct.unpack("<Q", struct.pack("<d", stored["double"]))[0])
    columns["f_many"] = [str(value) for value in numbers]
    columns["f_map"] = {key: str(value) for key, value in sorted(entries.items())}
    columns["f_maybe"] = None if maybe is None else str(maybe)
    columns["f_moment"] = f"{when}.{moment[1]:09d}"
    columns["f_inner"] = str(inner)
    columns["f_left"] = str(message.f_left) if which == 1 else None
    columns["f_right"] = message.f_right if which == 2 else None
    return {"bytes": encoded(message), "columns": columns}


def main():
    pools = {}
    for line in sys.stdin:
        request = json.loads(line)
        key = json.dumps(request["files"])
        if key not in pools:
            pools[key] = pool_of(request["files"])
        pool = pools[key]
        make = message_factory.GetMessageClass(pool.FindMessageTypeByName(request["message"]))
        if "random" in request:
            rng = random.Random(request["seed"])
            made = [random_message(make, rng) for _ in range(request["random"])]
            sys.stdout.write(json.dumps(made) + "\n")
        else:
            message = json_format.ParseDict(request["value"], make(), descriptor_pool=pool)
            sys.stdout.write(encoded(message) + "\n")


main()
