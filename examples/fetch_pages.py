"""Children that each fetch pages over HTTP, and insert rows into one SQLite database.

The pages come from a server that this script starts on the loopback interface.

python examples/fetch_pages.py [DATABASE]
"""

import sqlite3
import sys
import tempfile
import threading
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from gilfree import scripts

CHILDREN, PAGES_EACH = 4, 5


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"this is page {self.path.strip('/')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as pages:
        thread = threading.Thread(target=pages.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{pages.server_port}"
        finally:
            pages.shutdown()
            thread.join()


def main(path: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE pages (url TEXT PRIMARY KEY, body TEXT NOT NULL)")
    child = Path(__file__).with_name("fetch.py")
    with server() as address:
        urls = [f"{address}/{number}" for number in range(CHILDREN * PAGES_EACH)]
        commands = [scripts.Script(child, path, *urls[first::CHILDREN]) for first in range(CHILDREN)]
        results = scripts.run(commands, workers=CHILDREN, timeout=120, retries=1)
    for result in results:
        print(f"child {result.index}: exit code {result.returncode}: {result.stdout}{result.stderr}", end="")
    with closing(sqlite3.connect(path)) as database:
        print(*database.execute("SELECT count(*), min(body) FROM pages").fetchone())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(f"{folder}/pages.sqlite")
