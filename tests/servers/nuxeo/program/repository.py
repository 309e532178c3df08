# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-in does with documents: it makes and removes them in Nuxeo's order, and notes them in a ledger.

The order is Nuxeo's: the blob gets its final name first, the rows that name it are committed after. The ledger (JSON
lines, outside of the data folder) is what tests compare a restored instance with.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import time
import typing as t
import uuid
from datetime import datetime, timezone
from pathlib import Path

from blobs import Store
from database import Database, Statement
from search import Search

WORDS = ("invoice", "contract", "minutes", "report", "photo", "plan", "offer", "letter", "draft", "summary", "note")


def stamp() -> str:
    """Now, as the database reads it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")


class Ledger:
    """One JSON line for each committed change: ``began`` before it was sent, ``ended`` after its commit came back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)

    def note(self, **line: str | float | None) -> None:
        """Add a line, visible to readers at once."""
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


class Repository:
    """Documents in a database and a blob store."""

    def __init__(
        self,
        database: Database,
        store: Store,
        ledger: Ledger,
        stream: Path,
        append: t.Callable[[str], None] | None = None,
        search: Search | None = None,
    ) -> None:
        self.database = database
        self.search = search
        self.store = store
        self.ledger = ledger
        self.stream = stream
        self._stream_lock = threading.Lock()
        self._append_to_kafka = append
        self.random = random.Random()  # noqa: S311
        if database.prepare():
            self._first_documents()
        self.root = str(database.one(f"select {database.quote('id')} from {database.quote('repositories')}"))

    def _first_documents(self) -> None:
        insert, root = self.database.insert, str(uuid.uuid4())
        statements: list[Statement] = [
            insert("hierarchy", id=root, name="", isproperty=False, primarytype="Root"),
            insert("repositories", id=root, name="default"),
            insert("users", username="Administrator", password="{SSHA}", firstname="", email="admin@example.com"),
            insert("groups", groupname="administrators", grouplabel="Administrators group"),
            insert("user2group", userid="Administrator", groupid="administrators"),
            insert("nxp_uidseq", seq_id=1, seq_key="doc", seq_index=0),
            insert("acls", id=root, pos=0, name="local", grant=True, permission="Everything", user="Administrator"),
        ]
        for number, name in enumerate(("africa", "antarctica", "asia", "europe", "north-america")):
            statements.append(insert("continent", id=name, label=f"label.directories.{name}", ordering=number))
        self.database.run(statements)

    def _statements(self, doc: str, title: str, blob: tuple[str, int] | None) -> list[Statement]:
        insert, now = self.database.insert, stamp()
        statements = [
            insert("hierarchy", id=doc, parentid=self.root, name=title, isproperty=False, primarytype="File"),
            insert("dublincore", id=doc, title=title, creator="Administrator", created=now, modified=now),
            insert("dc_contributors", id=doc, pos=0, item="Administrator"),
            insert("misc", id=doc, lifecyclepolicy="default", lifecyclestate="project"),
            insert("fulltext", id=doc, fulltext=title.replace("-", " "), simpletext=title),
            insert("ancestors", id=doc, ancestors="{" + self.root + "}"),
        ]
        if blob is not None:
            child = str(uuid.uuid4())
            key, length = blob
            statements += [
                insert("hierarchy", id=child, parentid=doc, name="content", isproperty=True, primarytype="content"),
                insert(
                    "content",
                    id=child,
                    name=f"{title}.bin",
                    mime__type="application/octet-stream",
                    data=key,
                    digest=key,
                    length=length,
                ),
            ]
        if self.search and self.search.audit:
            return statements
        names = ("log_event_category", "log_doc_uuid", "log_event_id", "log_event_date", "log_repo_id")
        columns = ", ".join(self.database.quote(name) for name in ("log_id", *names))
        marks = f"{self.database.next_log_id}, ?, ?, ?, ?, ?"
        audit = f"insert into {self.database.quote('nxp_logs')} ({columns}) values ({marks})"
        statements.append((audit, ("eventDocumentCategory", doc, "documentCreated", now, "default")))
        return statements

    def create(self, content: bytes | None) -> str:
        """Make a document, with a blob when there is content; its id."""
        doc = str(uuid.uuid4())
        title = "-".join([*self.random.choices(WORDS, k=3), doc[:8]])
        blob = None if content is None else (self.store.write(content), len(content))
        statements = self._statements(doc, title, blob)
        began = time.time()
        self.database.run(statements)
        self.ledger.note(what="created", id=doc, digest=blob[0] if blob else None, began=began, ended=time.time())
        self._append(doc)
        if self.search:
            self.search.created(doc)
        return doc

    def content(self, size: int) -> bytes:
        """Bytes that no other document has."""
        return uuid.uuid4().bytes + self.random.randbytes(max(0, size - 16))

    def delete(self, docs: t.Sequence[str]) -> None:
        """Remove documents' rows. Their blobs stay: only a garbage collection removes them."""
        hierarchy, number = self.database.quote("hierarchy"), self.database.quote("id")
        for doc in docs:
            began = time.time()
            self.database.run([(f"delete from {hierarchy} where {number} = ?", (doc,))])
            self.ledger.note(what="deleted", id=doc, digest=None, began=began, ended=time.time())

    def reindex(self) -> int:
        """Rebuild the index of documents from the database."""
        hierarchy, number, kind = (self.database.quote(name) for name in ("hierarchy", "id", "primarytype"))
        rows = self.database.run([(f"select {number} from {hierarchy} where {kind} = 'File'", ())])[0]
        return self.search.reindex([str(row[0]) for row in rows]) if self.search else 0

    def keys(self) -> set[str]:
        """Every blob key that a document refers to."""
        content, data = self.database.quote("content"), self.database.quote("data")
        rows = self.database.run([(f"select distinct {data} from {content} where {data} is not null", ())])[0]
        return {str(row[0]) for row in rows}

    def counts(self) -> dict[str, int]:
        """How much there is."""
        hierarchy, kind = self.database.quote("hierarchy"), self.database.quote("primarytype")
        files = f"select count(*) from {hierarchy} where {kind} = 'File'"
        audit = f"select count(*) from {self.database.quote('nxp_logs')}"
        keys = self.keys()
        bad = sum(not self.store.good(key) for key in keys)
        numbers = {"documents": int(self.database.one(files)), "audit": int(self.database.one(audit))}
        return {**numbers, "blobs": len(keys), "bad_blobs": bad}

    def _append(self, doc: str) -> None:
        """The stream grows while documents are made: topics of Kafka, or queue files."""
        if self._append_to_kafka is not None:
            self._append_to_kafka(doc)
            return
        folder = self.stream / "audit" / "audit" / "P-00"
        with self._stream_lock:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f"{datetime.now(timezone.utc):%Y%m%d}.cq4").open("ab") as file:
                file.write(f"documentCreated {doc}".ljust(128).encode())


class Writer:
    """Makes documents at a rate, and removes some of those it made, until told to stop."""

    def __init__(self, repository: Repository, rate: float, threads: int, size: int) -> None:
        self.repository = repository
        self.size = size
        self.pause = threads / rate
        self.errors = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, daemon=True) for number in range(threads)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let each thread finish its document."""
        self._stop.set()
        for thread in self._threads:
            thread.join(10)

    def _write(self) -> None:
        mine: list[str] = []
        last: bytes | None = None
        chance = self.repository.random
        due = time.monotonic()
        while not self._stop.is_set():
            due = max(due + self.pause, time.monotonic() - 1)
            try:
                content = self.repository.content(chance.randrange(self.size))
                if last is not None and chance.random() < 0.1:
                    content = last
                mine.append(self.repository.create(None if chance.random() < 0.05 else content))
                last = content
                if len(mine) > 10 and chance.random() < 0.1:
                    self.repository.delete([mine.pop(chance.randrange(len(mine)))])
            except Exception as error:  # a writer outlives a database that is away for a while
                self.errors += 1
                with contextlib.suppress(OSError):
                    os.write(2, f"writer: {error}\n".encode())
                self._stop.wait(0.5)
            self._stop.wait(max(0.0, due - time.monotonic()))
