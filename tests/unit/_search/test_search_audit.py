# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of an instance is in the search engine."""

from __future__ import annotations

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._search.audit import Store, agreed, store
from ansible_collections.nuxeo.platform.plugins.module_utils._search.errors import SearchError

HERE = {
    "audit": {"kept": "elasticsearch", "index": "acme-audit"},
    "sequences": {"kept": "elasticsearch", "index": "acme-uidgen"},
}


def test_audit_and_sequences() -> None:
    assert store(HERE) == Store("acme-audit", "acme-uidgen")
    assert store(HERE, sequences=False).indices == ["acme-audit"]


@pytest.mark.parametrize("kept", ["sql", "mongodb", "memory", "other"])
def test_elsewhere(kept: str) -> None:
    assert store({"audit": {"kept": kept, "table": "NXP_LOGS"}, "sequences": {"kept": kept}}).indices == []
    assert store({}).indices == []


def test_nodes_must_agree() -> None:
    assert agreed({"n1": HERE, "n2": HERE}) == store(HERE)
    other = {**HERE, "audit": {"kept": "elasticsearch", "index": "nuxeo-audit"}}
    with pytest.raises(SearchError, match="n1: acme-audit, acme-uidgen; n2: nuxeo-audit, acme-uidgen"):
        agreed({"n1": HERE, "n2": other})
    with pytest.raises(SearchError, match="n2: none"):
        agreed({"n1": HERE, "n2": {"audit": {"kept": "sql"}}})
