# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of an instance is in the search engine."""

from __future__ import annotations

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._search import instance
from ansible_collections.nuxeo.platform.plugins.module_utils._search.audit import Store, is_embedded, store
from ansible_collections.nuxeo.platform.plugins.module_utils._search.client import Client
from ansible_collections.nuxeo.platform.plugins.module_utils._search.errors import SearchError

HERE = {
    "audit": {"kept": "elasticsearch", "index": "acme-audit"},
    "sequences": {"kept": "elasticsearch", "index": "acme-uidgen"},
}


def test_audit_and_sequences() -> None:
    assert store(HERE) == Store("acme-audit", "acme-uidgen")
    assert store(HERE).names == {"audit": "acme-audit", "sequences": "acme-uidgen"}
    assert store(HERE, ["sequences:elasticsearch"]).indices == ["acme-audit"]


@pytest.mark.parametrize("kept", ["sql", "mongodb", "memory", "other"])
def test_elsewhere(kept: str) -> None:
    assert store({"audit": {"kept": kept, "table": "NXP_LOGS"}, "sequences": {"kept": kept}}).indices == []
    assert store({}).indices == []


def test_an_engine_of_the_audit_alone_is_not_that_of_the_documents() -> None:
    assert is_embedded({"search": {"embedded": True}, "audit": {"kept": "elasticsearch"}})
    assert not is_embedded({"search": {"embedded": True}, "audit": {"kept": "elasticsearch", "embedded": False}})
    assert not is_embedded({})


def test_audit_and_sequences_of_two_clusters_are_no_snapshot() -> None:
    def connect() -> Client:
        raise SearchError("Connection", "it was tried")

    facts = {name: {**HERE[name], "url": [f"http://{name}:9200"]} for name in HERE}
    params = {"facts": facts, "left_out": [], "embedded_open": False, "repository": "", "name": "n", "location": "/l"}
    (told,) = instance.look({**params, "url": None}, connect)["problems"]
    assert "the audit at http://audit:9200 and the sequences at http://sequences:9200 are apart" in told
    for same in ({"url": ["http://proxy"]}, {"url": None, "left_out": ["sequences:elasticsearch"]}):
        assert instance.look({**params, **same}, connect)["problems"] == ["Connection: it was tried."]
    (told,) = instance.look({**params, "url": None, "left_out": ["audit:elasticsearch"]}, connect)["problems"]
    assert "the sequences at http://sequences:9200 are apart" in told and "backup_search_url" in told
    inside = {"audit": facts["audit"], "sequences": {**facts["sequences"], "url": [], "embedded": True}}
    (told,) = instance.look({**params, "url": None, "facts": inside}, connect)["problems"]
    assert "the audit at http://audit:9200 and the sequences inside of Nuxeo are apart" in told
    together = {name: {**HERE[name], "url": ["http://a:9200"]} for name in HERE}
    assert instance.look({**params, "url": None, "facts": together}, connect)["problems"] == [
        "Connection: it was tried."
    ]
