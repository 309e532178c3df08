# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Into which engine audit and sequences go back, as nuxeo.conf of the target has them; no engine is needed for that."""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

import pytest

ENGINE = {"kept": "elasticsearch", "embedded": False}
NOBODY = "http://127.0.0.1:9"
"""Where nothing answers: the engine that would have been asked is in the message."""
OTHER = "http://127.0.0.1:7"
APART = f"it has the audit at {NOBODY} and the sequences at {OTHER}"
BOTH = {"audit": "nuxeo-audit", "sequences": "nuxeo-uidgen"}


@pytest.fixture
def told(
    local_inventory: t.Callable[..., Path], run_playbook: t.Callable[..., t.Any], tmp_path: Path
) -> t.Callable[..., str]:
    """Why the restore of the audit alone fails, on a target that has both in an engine."""

    def run(names: dict[str, str], url: dict[str, list[str]], **options: t.Any) -> str:
        kinds = {
            kind: {**ENGINE, "index": index, **({"url": url[kind]} if url else {})} for kind, index in BOTH.items()
        }
        search = {"embedded": False, "client": "rest", "url": [NOBODY]}
        known = {
            "restore_root": str(tmp_path),
            "restore_instance": "acme",
            "__restore_audit_python": sys.executable,
            "__restore_predict": True,
            "__restore_node": {
                "facts": {
                    "conf": "/nowhere/nuxeo.conf",
                    "home": "/nowhere",
                    "version": "2025.1",
                    "search": search,
                    **kinds,
                }
            },
            "__restore_found": {
                "path": str(tmp_path),
                "manifest": {
                    "instance": "acme",
                    "backup_date": "2026-11-23T02:00:04Z",
                    "audit": {"names": names, "own": True, "location": "audit", "snapshot": "set-1"},
                },
            },
            "restore_search_user": "me",
            "restore_search_password": "word",
        }
        include = {"ansible.builtin.include_role": {"name": "nuxeo.platform.restore", "tasks_from": "audit"}}
        play = tmp_path / "audit.yml"
        play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [include]}]))
        done = run_playbook(play, local_inventory(acme={**known, **options}))
        assert done.rc != 0 and done.changed == []
        return " ".join(done.failures)

    return run


@pytest.mark.parametrize("names", [BOTH, {"sequences": "nuxeo-uidgen"}], ids=["both", "sequences"])
def test_two_engines_of_the_target_are_not_taken_for_one(names: dict[str, str], told: t.Callable[..., str]) -> None:
    """Nothing is asked, and nothing goes where Nuxeo does not look for it."""
    url = {"audit": [NOBODY], "sequences": [OTHER]}
    found = told(names, url)
    assert APART in found and "no answer" not in found
    assert f"on {OTHER}: no answer" in told(names, url, restore_search_url=[OTHER])
    inside = told(names, {"audit": [NOBODY], "sequences": []})
    assert "and the sequences inside of Nuxeo" in inside


@pytest.mark.parametrize(
    ("names", "url"),
    [
        ({"audit": "nuxeo-audit"}, {"audit": [NOBODY], "sequences": [OTHER]}),
        (BOTH, {"audit": [OTHER, NOBODY], "sequences": [NOBODY, OTHER]}),
        (BOTH, {}),
    ],
    ids=["audit", "together", "until 2023"],
)
def test_one_engine_is_asked(names: dict[str, str], url: dict[str, list[str]], told: t.Callable[..., str]) -> None:
    assert "no answer" in told(names, url)
