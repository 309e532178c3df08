# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether two nodes share a data folder is proven, or it is a failure."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import sharing
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.place import SetError


def sights(**folders: Path) -> dict[str, dict[str, t.Any]]:
    """What nodes with these data folders see."""
    left = {node: sharing.leave(str(folder), "r1") for node, folder in folders.items()}
    names = [found["name"] for found in left.values() if found["name"]]
    seen = {node: sharing.look(str(folder), names) for node, folder in folders.items()}
    for node, folder in folders.items():
        if left[node]["name"]:
            assert sharing.remove(str(folder), left[node]["name"])
        assert not list(folder.glob(f"{sharing.HERE}*")) or node != list(folders)[-1]
    return {node: {**left[node], "seen": seen[node]} for node in folders}


def test_nodes_that_share_and_nodes_that_do_not(tmp_path: Path) -> None:
    shared, own = tmp_path / "shared", tmp_path / "own"
    shared.mkdir()
    own.mkdir()
    link = tmp_path / "link"
    link.symlink_to(shared)
    absent = tmp_path / "deep" / "absent"
    (shared / f"{sharing.HERE}r0-killed").touch()
    found = sights(a1=shared, a2=link, a3=own, a4=absent, a5=shared)
    assert sharing.sharing("a1", found) == ["a2", "a5"]
    assert not list(shared.iterdir()) and not absent.parent.exists()


def test_a_cached_absence_of_the_folder_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.path.isdir
    monkeypatch.setattr(os.path, "isdir", lambda path: str(path) != str(tmp_path) and real(path))
    assert sharing.leave(str(tmp_path), "r1")["name"], "the making of it was refused, so it is there"


def test_who_may_not_write_shares_only_what_it_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of root on a node whose server takes it for nobody."""

    def refuse(*_args: t.Any) -> t.Any:
        raise PermissionError(13, "Permission denied")

    first = sharing.leave(str(tmp_path), "r1")
    monkeypatch.setattr(sharing, "opened", refuse)
    second = sharing.leave(str(tmp_path), "r1")
    assert second["name"] == "" and second["reason"] == "Permission denied"
    leads, sees = {**first, "seen": [first["name"]]}, {**second, "seen": [first["name"]]}
    assert sharing.sharing("a1", {"a1": leads, "a2": sees, "a3": sees}) == ["a2", "a3"]
    with pytest.raises(
        SetError, match=r"nobody can tell whether 'a2' .* 'a1', .*a2 could not leave a file there: Perm"
    ):
        sharing.sharing("a1", {"a1": leads, "a2": {**second, "seen": []}})


def test_what_is_not_agreed_on_is_no_answer() -> None:
    one = {"name": "n1", "reason": "", "absent": False, "seen": ["n1"]}
    two = {**one, "name": "n2", "seen": ["n1", "n2"]}
    with pytest.raises(SetError, match="a2 sees a file of a1, and a1 none of a2"):
        sharing.sharing("a1", {"a1": one, "a2": two})
    with pytest.raises(SetError, match="nobody can tell whether 'a2' .* has not said"):
        sharing.sharing("a1", {"a1": one, "a2": {}})
    with pytest.raises(SetError, match="a2 does not see its own file"):
        sharing.sharing("a1", {"a1": one, "a2": {**two, "seen": []}})
    both = {"a2": {**two, "seen": ["n2", "n3"]}, "a3": {**two, "name": "n3", "seen": ["n2", "n3"]}}
    with pytest.raises(SetError, match="a2 and a3 have one that a1 has not"):
        sharing.sharing("a1", {"a1": one, **both})


def test_what_cannot_be_looked_at_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: t.Any) -> t.Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(SetError, match="Permission denied"):
        sharing.look(str(tmp_path), ["n1"])
    with pytest.raises(SetError):
        sharing.remove(str(tmp_path), "../other")
