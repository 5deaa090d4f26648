"""A child script: python fetch.py DATABASE URL ... fetches the pages, and inserts a row for each."""

import sqlite3
import sys
import urllib.request
from contextlib import closing

path, *urls = sys.argv[1:]
for url in urls:
    with urllib.request.urlopen(url) as response:
        body = response.read().decode()
    # Many children write to one database: each waits for its turn, and holds it for one row only.
    with closing(sqlite3.connect(path, timeout=60)) as database, database:
        database.execute("INSERT INTO pages VALUES (?, ?)", (url, body))
print(f"{len(urls)} pages")
