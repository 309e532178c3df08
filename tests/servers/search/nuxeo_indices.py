# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Indices as Nuxeo keeps them, written and read with curl: the tests check with it what the modules did."""

from __future__ import annotations

import json
import subprocess
import typing as t

from servers.search.security import PASSWORD
from servers.search.server import Server

AUDIT = {
    "id": {"type": "long"},
    "eventDate": {"type": "date"},
    "eventId": {"type": "keyword"},
    "docPath": {"type": "keyword"},
}


class Curl:
    """Calls to a server by the command curl."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.typed = server.engine.elastic and server.engine.major < 7
        self.kind = "entry" if self.typed else "_doc"

    def __call__(self, method: str, path: str, body: t.Any = None, timeout: int = 60) -> tuple[int, t.Any]:
        argv = ["curl", "-sS", "-g", "-m", str(timeout), "-X", method, "-w", "\n%{http_code}"]
        argv += ["-H", f"Content-Type: application/{'x-ndjson' if isinstance(body, str) else 'json'}"]
        if self.server.tls:
            argv += ["--cacert", str(self.server.ca), "-u", f"backup:{PASSWORD}"]
        if self.server.client_auth:
            folder = self.server.root / "certificates"
            argv += ["--cert", str(folder / "client.crt"), "--key", str(folder / "client.key")]
        text = body if isinstance(body, str) else json.dumps(body)
        if body is not None:
            argv += ["--data-binary", "@-"]
        done = subprocess.run(
            [*argv, self.server.urls[0] + path], input=text, capture_output=True, text=True, check=True
        )
        answer, dummy, status = done.stdout.rpartition("\n")
        return int(status), json.loads(answer) if answer.strip() else None

    def ok(self, method: str, path: str, body: t.Any = None) -> t.Any:
        """The answer, which must be a good one."""
        status, answer = self(method, path, body)
        assert status < 300, (method, path, status, answer)
        return answer

    def create(self, index: str, *, shards: int = 2, settings: dict[str, t.Any] | None = None) -> None:
        """An audit index."""
        mapping: dict[str, t.Any] = {"properties": AUDIT}
        body = {
            "settings": {"number_of_shards": shards, "number_of_replicas": 0, **(settings or {})},
            "mappings": {self.kind: mapping} if self.typed else mapping,
        }
        self.ok("PUT", f"/{index}", body)

    def write(self, index: str, first: int, last: int, *, year: int = 2024, filler: int = 0) -> None:
        """Audit entries with these ids, in one bulk call; not refreshed."""
        lines = []
        for number in range(first, last + 1):
            action = {"_index": index, "_id": str(number), **({"_type": self.kind} if self.typed else {})}
            entry = {"id": number, "eventId": "documentCreated", "docPath": f"/ws/{number}-{'x' * filler}"}
            lines += [{"index": action}, {**entry, "eventDate": f"{year}-05-01T10:00:00.000Z"}]
        answer = self.ok("POST", "/_bulk", "".join(json.dumps(line) + "\n" for line in lines))
        assert answer["errors"] is False, answer

    def create_sequences(self, index: str) -> None:
        """A uidgen index: no source, the version is the value."""
        mapping: dict[str, t.Any] = {"_source": {"enabled": False}, "properties": {}}
        body = {
            "settings": {"number_of_shards": 1, "number_of_replicas": 0},
            "mappings": {"seqId": mapping} if self.typed else mapping,
        }
        self.ok("PUT", f"/{index}", body)

    def next_number(self, index: str, sequence: str) -> int:
        """The next number of a sequence, as Nuxeo takes it."""
        kind = "seqId" if self.typed else "_doc"
        return int(self.ok("PUT", f"/{index}/{kind}/{sequence}", {"name": sequence})["_version"])

    def take_numbers(self, index: str, sequence: str, many: int) -> None:
        """So many numbers of a sequence, in one call."""
        self.take_a_number_of_each(index, [sequence] * many)

    def take_a_number_of_each(self, index: str, sequences: t.Sequence[str]) -> None:
        """One number of each, in one call."""
        lines = ""
        for sequence in sequences:
            action = {"_index": index, "_id": sequence, **({"_type": "seqId"} if self.typed else {})}
            lines += json.dumps({"index": action}) + "\n" + json.dumps({"name": sequence}) + "\n"
        assert self.ok("POST", "/_bulk", lines)["errors"] is False

    def count(self, name: str) -> int:
        """Documents found under a name, all shards answering."""
        self.ok("POST", f"/{name}/_refresh")
        answer = self.ok("GET", f"/{name}/_count")
        assert answer["_shards"]["successful"] == answer["_shards"]["total"], answer
        return int(answer["count"])

    def ids(self, name: str) -> list[int]:
        """The ids of all entries, up to 10,000."""
        answer = self.ok("GET", f"/{name}/_search?size=10000&_source=id")
        return sorted(int(hit["_source"]["id"]) for hit in answer["hits"]["hits"])

    def exists(self, name: str) -> bool:
        """Whether there is an index or an alias of that name."""
        return self("GET", f"/{name}/_alias")[0] == 200

    def indices(self) -> list[str]:
        """All indices but those of the engine itself."""
        found = (
            self.ok("GET", "/_cat/indices?format=json&h=index&expand_wildcards=all")
            if not self.typed
            else self.ok("GET", "/_cat/indices?format=json&h=index")
        )
        return sorted(each["index"] for each in found if not each["index"].startswith("."))

    def snapshots(self, repository: str) -> dict[str, str]:
        """Name and state of each snapshot in a repository."""
        answer = self.ok("GET", f"/_snapshot/{repository}/_all")
        groups = answer.get("responses", [answer])
        return {each["snapshot"]: each["state"] for group in groups for each in group["snapshots"]}

    def clean(self) -> None:
        """Remove all indices and repositories."""
        for repository in self.ok("GET", "/_snapshot"):
            self("DELETE", f"/_snapshot/{repository}")
        for index in self.indices():
            self("DELETE", f"/{index}")
