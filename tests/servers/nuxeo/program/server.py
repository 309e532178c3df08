# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server process of the stand-in. nuxeoctl starts it with Nuxeo's own words in its command line.

It serves /nuxeo/runningstatus as Nuxeo does, and under /nuxeo/standin what tests need to make and count documents.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from blobs import Store
from configuration import BadConfiguration, Configuration
from database import H2, Database, DatabaseError, Postgresql
from embedded import EmbeddedEngine, is_embedded
from repository import Ledger, Repository, Writer
from search import Search
from streams import Streams

ADMINISTRATOR = "Basic QWRtaW5pc3RyYXRvcjpBZG1pbmlzdHJhdG9y"
REINDEX = (
    "/nuxeo/api/v1/management/elasticsearch/reindex",
    "/nuxeo/api/v1/management/search/reindex",
    "/nuxeo/site/automation/Elasticsearch.BulkIndex",
)


def open_database(configuration: Configuration) -> Database:
    """The database that the configuration names."""
    user, password = configuration.get("nuxeo.db.user"), configuration.get("nuxeo.db.password")
    url = configuration.get("nuxeo.db.jdbc.url")
    if url.startswith("jdbc:postgresql:"):
        parts = urlsplit(url[len("jdbc:") :])
        return Postgresql(parts.hostname or "localhost", str(parts.port or 5432), parts.path[1:], user, password)
    if url.startswith("jdbc:h2:"):
        jars = sorted((configuration.home / "nxserver" / "lib").glob("h2-*.jar"))
        java = shutil.which("java")
        if not jars or java is None:
            raise DatabaseError("there is no java, or no h2 jar in nxserver/lib")
        Path(url[len("jdbc:h2:") :].split(";")[0]).parent.mkdir(parents=True, exist_ok=True)
        return H2(java, jars[0], url, user, password)
    raise DatabaseError(f"no driver for {url}")


class Standin:
    """The parts of a running server."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.started = False
        self.writer: Writer | None = None
        self.engine = EmbeddedEngine(configuration) if is_embedded(configuration) else None
        self.database = open_database(configuration)
        folder = configuration.get("repository.binary.store") or f"{configuration.get('nuxeo.data.dir')}/binaries"
        in_data = configuration.get("nuxeo.core.binarymanager").endswith("LocalBlobProvider")
        ledger = Ledger(Path(configuration.get("standin.ledger", str(configuration.home / "standin" / "ledger.jsonl"))))
        stream = configuration.folder("nuxeo.data.dir") / "stream"
        note = Ledger(ledger.path.with_name("streams.jsonl")).note
        self.streams = Streams(configuration, note) if configuration.get("standin.streams") else None
        append = self.streams.append if self.streams else None
        address = self.engine.url if self.engine else configuration.get("elasticsearch.addressList").split(",")[0]
        search = None
        if configuration.get("elasticsearch.enabled") == "true" and address:
            search = Search(configuration, address, Ledger(ledger.path.with_name("ledger-audit.jsonl")).note)
        self.repository = Repository(self.database, Store(Path(folder), in_data), ledger, stream, append, search)

    def set_writer(self, rate: float) -> None:
        """Write documents at that rate from now on; 0 ends it."""
        if self.writer is not None:
            self.writer.stop()
            self.writer = None
        if rate > 0:
            threads = int(self.configuration.get("standin.writer.threads", "2"))
            size = int(self.configuration.get("standin.writer.size", "20000"))
            self.writer = Writer(self.repository, rate, threads, size)

    def stop(self) -> None:
        """End in good order."""
        self.set_writer(0)
        if self.streams is not None:
            self.streams.stop()
        self.database.close()
        if self.engine is not None:
            self.engine.stop()


class Handler(BaseHTTPRequestHandler):
    """Answers HTTP."""

    protocol_version = "HTTP/1.1"
    standin: t.ClassVar[Standin | None] = None

    def log_message(self, format: str, *args: t.Any) -> None:  # noqa: A002
        """Quiet."""

    def _send(self, code: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _json(self, value: t.Any, code: int = 200) -> None:
        self._send(code, json.dumps(value).encode())

    def do_GET(self) -> None:
        """Nuxeo's status page, and the counts for tests."""
        parts = urlsplit(self.path)
        standin = self.standin
        if parts.path == "/nuxeo/runningstatus":
            self._status(parse_qs(parts.query), standin)
        elif standin is None:
            self._json({"error": "starting"}, 503)
        elif parts.path == "/nuxeo/standin/counts":
            self._guarded(standin.repository.counts)
        else:
            self._json({"error": "not found"}, 404)

    def _status(self, query: dict[str, list[str]], standin: Standin | None) -> None:
        info = query.get("info", [""])[0]
        started = standin is not None and standin.started
        if info == "started":
            self._send(200, str(started).lower().encode(), "text/plain")
        elif info == "summary":
            key = standin.configuration.get("server.status.key") if standin else ""
            allowed = bool(key) and query.get("key") == [key]
            self._send(200 if allowed else 403, b"Nuxeo\n" if allowed else b"", "text/plain")
        else:
            self._json({"runtimeStatus": "ok" if started else "nok", "repositoryStatus": "ok"}, 200 if started else 500)

    def do_POST(self) -> None:
        """What tests ask for: documents made or removed, the writer on or off, a garbage collection."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        standin = self.standin
        if standin is None:
            self._json({"error": "starting"}, 503)
            return
        repository = standin.repository
        if self.path == "/nuxeo/standin/documents":
            size = int(body.get("size", 1000))
            count = int(body.get("count", 1))
            self._guarded(lambda: [repository.create(repository.content(size)) for number in range(count)])
        elif self.path == "/nuxeo/standin/delete":
            self._guarded(lambda: repository.delete(body["ids"]))
        elif self.path == "/nuxeo/standin/writer":
            self._guarded(lambda: standin.set_writer(float(body["rate"])))
        elif self.path == "/nuxeo/standin/gc":
            self._guarded(lambda: repository.store.collect(repository.keys()))
        elif self.path in REINDEX and self.headers.get("Authorization") == ADMINISTRATOR:
            self._guarded(repository.reindex)
        else:
            self._json({"error": "not found"}, 404)

    def _guarded(self, work: t.Callable[[], t.Any]) -> None:
        try:
            self._json(work())
        except (DatabaseError, OSError) as error:
            self._json({"error": str(error)}, 500)


def write_dump(configuration: Configuration) -> None:
    """The properties as Nuxeo's launcher leaves them: references unexpanded."""
    folder = configuration.folder("nuxeo.config.dir")
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{key}={value}".replace("\\", "\\\\") for key, value in sorted(configuration.raw.items())]
    text = "\n".join(["#Generated by the stand-in", *lines]) + "\n"
    (folder / "configuration.properties").write_text(text, encoding="utf-8")


def watch(home: Path, owner: str, stop: threading.Event) -> None:
    """End the server when its home or the process that it was made for is gone."""
    while not stop.wait(2):
        if not home.exists() or (owner and not Path(f"/proc/{owner}").exists()):
            stop.set()


def main(argv: t.Sequence[str]) -> int:
    """Serve until SIGTERM."""
    settings = dict(word[2:].split("=", 1) for word in argv if word.startswith("-D"))
    home, conf = Path(settings["nuxeo.home"]), Path(settings["nuxeo.conf"])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        configuration = Configuration(home, conf)
        write_dump(configuration)
        address = (configuration.get("nuxeo.bind.address"), int(configuration.get("nuxeo.server.http.port")))
        http = ThreadingHTTPServer(address, Handler)
        threading.Thread(target=http.serve_forever, daemon=True).start()
        time.sleep(float(configuration.get("standin.start.delay", "0")))
        standin = Standin(configuration)
    except (BadConfiguration, DatabaseError, OSError) as error:
        print(f"ERROR cannot start: {error}", file=sys.stderr, flush=True)
        return 1
    Handler.standin = standin
    standin.set_writer(float(os.environ.get("NUXEO_STANDIN_WRITER") or configuration.get("standin.writer.rate", "0")))
    standin.started = True
    print("Nuxeo Platform started", file=sys.stderr, flush=True)
    watch(home, configuration.get("standin.owner"), stop)
    standin.started = False
    standin.stop()
    http.shutdown()
    print("Nuxeo Platform stopped", file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
