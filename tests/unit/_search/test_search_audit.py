# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of an instance is in the search engine."""

from __future__ import annotations

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._search.audit import Store, is_embedded, store

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
