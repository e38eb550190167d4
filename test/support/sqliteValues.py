"""Writes all texts and bytes in a SQLite database to the standard output, each after its length (4 bytes, big-endian).

Usage: sqliteValues.py FILE
"""

import sqlite3
import sys

connection = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, timeout=30)
connection.text_factory = bytes
names = [name.decode() for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
for name in names:
    for row in connection.execute(f'SELECT * FROM "{name}"'):
        for value in row:
            if isinstance(value, bytes):
                sys.stdout.buffer.write(len(value).to_bytes(4, "big") + value)
