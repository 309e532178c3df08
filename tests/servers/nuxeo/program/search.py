# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-in keeps in a search engine, in Nuxeo's formats: audit entries, sequences, the index of documents.

The number of an audit entry comes from the sequence ``audit``, and a number of a sequence is the version of a document
without a source, as with Nuxeo up to LTS 2023.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
import typing as t
import urllib.error
import urllib.request

from configuration import Configuration

AUDIT = {
    "id": {"type": "long"},
    "eventDate": {"type": "date"},
    "eventId": {"type": "keyword"},
    "docUUID": {"type": "keyword"},
}


class Search:
    """One engine, by its REST interface."""

    def __init__(self, configuration: Configuration, address: str, note: t.Callable[..., None]) -> None:
        get = configuration.get
        self.url = address if "//" in address else f"http://{address}"
        login = f"{get('elasticsearch.restClient.username')}:{get('elasticsearch.restClient.password')}"
        self.login = "" if login == ":" else base64.b64encode(login.encode()).decode()
        self.authority = get("standin.search.ca")
        self.documents = get("elasticsearch.indexName")
        self.audit = get("audit.elasticsearch.indexName") if get("audit.elasticsearch.enabled") == "true" else ""
        self.sequences = get("seqgen.elasticsearch.indexName")
        self.note = note
        self._lock = threading.Lock()
        version = next(iter(self.call("GET", "/_nodes?filter_path=nodes.*.version")["nodes"].values()))["version"]
        self.typed = version.startswith(("5.", "6."))
        self._prepare()

    def call(self, method: str, path: str, body: t.Any = None) -> t.Any:
        """The decoded answer; None for 404."""
        request = urllib.request.Request(self.url + path, method=method)
        if body is not None:
            lines = isinstance(body, str)
            request.data = body.encode() if lines else json.dumps(body).encode()
            request.add_header("Content-Type", f"application/{'x-ndjson' if lines else 'json'}")
        if self.login:
            request.add_header("Authorization", f"Basic {self.login}")
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if self.authority:
            context = ssl.create_default_context(cafile=self.authority)
            handlers.append(urllib.request.HTTPSHandler(context=context))
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=60) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise OSError(f"{method} {path}: {error.code} {error.read()[:500]!r}") from error

    def _prepare(self) -> None:
        """Make the indices that are not there, as Nuxeo does at its start."""
        named = {"_source": {"enabled": False}, "properties": {}}
        for name, kind, mapping in (
            (self.documents, "doc", {"properties": {}}),
            (self.sequences, "seqId", named),
            (self.audit, "entry", {"properties": AUDIT}),
        ):
            if name and self.call("GET", f"/{name}/_alias") is None:
                settings = {"number_of_shards": 1, "number_of_replicas": 0}
                self.call(
                    "PUT", f"/{name}", {"settings": settings, "mappings": {kind: mapping} if self.typed else mapping}
                )

    def _put(self, index: str, kind: str, number: str | int, body: t.Any) -> t.Any:
        return self.call("PUT", f"/{index}/{kind if self.typed else '_doc'}/{number}", body)

    def next_number(self, sequence: str) -> int:
        """The next number of a sequence."""
        return int(self._put(self.sequences, "seqId", sequence, {"name": sequence})["_version"])

    def created(self, doc: str) -> None:
        """A document was committed: it is indexed, gets a number of its own, and is told to the audit."""
        began = time.time()
        self._put(self.documents, "doc", doc, {"ecm:uuid": doc})
        number = self.next_number("invoice")
        if self.audit:
            entry = {"eventId": "documentCreated", "docUUID": doc, "eventDate": int(began * 1000)}
            with self._lock:  # as the one consumer of the audit's queue
                audit_id = self.next_number("audit")
                self._put(self.audit, "entry", audit_id, {"id": audit_id, **entry})
            self.note(what="audited", id=audit_id, doc=doc, number=number, began=began, ended=time.time())

    def reindex(self, docs: t.Sequence[str]) -> int:
        """Make the index of documents anew."""
        self.call("DELETE", f"/{self.documents}")
        self._prepare()
        for doc in docs:
            self._put(self.documents, "doc", doc, {"ecm:uuid": doc})
        self.call("POST", f"/{self.documents}/_refresh")
        return len(docs)
