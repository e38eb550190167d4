"""Writes Avro with fastavro, by lines of JSON: {"schema": ..., "named": [...], "value": ...} in, base64 out.

Values that JSON has not are tagged: {"$decimal": "1.50"}, {"$bytes": base64}, {"$float": "nan"}, {"$long": digits},
 {"$tuple": [name, value]}.
"""

import base64
import decimal
import json
import sys

import fastavro


def untag(value):
    if isinstance(value, list):
        return [untag(item) for item in value]
    if isinstance(value, dict):
        if "$decimal" in value:
            return decimal.Decimal(value["$decimal"])
        if "$bytes" in value:
            return base64.b64decode(value["$bytes"])
        if "$long" in value:
            return int(value["$long"])
        if "$float" in value:
            return float(value["$float"])
        if "$tuple" in value:
            name, inner = value["$tuple"]
            return (name, untag(inner))
        return {name: untag(item) for name, item in value.items()}
    return value


def main():
    decimal.getcontext().prec = 200
    schemas = {}
    for line in sys.stdin:
        request = json.loads(line)
        key = json.dumps([request["schema"], request.get("named")])
        if key not in schemas:
            named = {}
            for reference in request.get("named") or []:
                fastavro.parse_schema(reference, named_schemas=named)
            schemas[key] = fastavro.parse_schema(request["schema"], named_schemas=named)
        out = bytearray()

        class Sink:
            def write(self, data):
                out.extend(data)

        fastavro.schemaless_writer(Sink(), schemas[key], untag(request["value"]))
        sys.stdout.write(base64.b64encode(bytes(out)).decode() + "\n")


main()
