# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many snapshots es_snapshot_info lists."""

from __future__ import annotations

import json
import types

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.nuxeo.platform.plugins.modules import es_snapshot_info


@pytest.mark.parametrize(
    ("limit", "listed"), [(2, [3, 4]), (5, [0, 1, 2, 3, 4]), (9, [0, 1, 2, 3, 4]), (0, []), (-1, [])]
)
def test_the_newest_are_kept(
    limit: int, listed: list[int], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = types.SimpleNamespace(distribution="opensearch", version="2.19.1", cluster_name="c", cluster_uuid="u")
    monkeypatch.setattr(es_snapshot_info, "client_for", lambda _params: None)
    monkeypatch.setattr(es_snapshot_info, "read_engine", lambda _client: engine)
    monkeypatch.setattr(es_snapshot_info.snapshot, "listing", lambda *_: list(range(5)))
    monkeypatch.setattr(es_snapshot_info.snapshot, "select", lambda _client, _repository, found, _names: found)
    monkeypatch.setattr(es_snapshot_info.repository, "must", lambda *_: {"type": "fs", "settings": {}})
    given = {"repository": "r", "url": ["http://127.0.0.1:1"], "limit": limit}
    with patch_module_args(given), pytest.raises(SystemExit):
        es_snapshot_info.main()
    result = json.loads(capfd.readouterr().out.strip().splitlines()[-1])
    assert (result["snapshots"], result["total"]) == (listed, 5)
