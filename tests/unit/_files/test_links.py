# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links of a tree lead inside the copy where they lead inside the tree, and nothing of a copy leads back to it."""

from __future__ import annotations

import os
import pathlib

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._files import tree


@pytest.mark.parametrize(
    ("at", "leads", "becomes"),
    [
        ("binaries", "{data}/blobs-2024", "blobs-2024"),
        ("binaries", "../data/blobs-2024", "blobs-2024"),
        ("binaries", "{alias}/blobs-2024", "blobs-2024"),
        ("deep/down/binaries", "{data}/blobs-2024", "../../blobs-2024"),
        ("deep/down/binaries", "../../../data/blobs-2024", "../../blobs-2024"),
        ("deep/up", "{data}", ".."),
        ("deep/to come", "{data}/not yet", "../not yet"),
        ("deep/down/binaries", "../../blobs-2024", "../../blobs-2024"),
        ("binaries", "deep/../blobs-2024/", "deep/../blobs-2024/"),
        ("elsewhere", "/nowhere/at/all", "/nowhere/at/all"),
        ("elsewhere", "../volume", "../volume"),
    ],
)
def test_a_link_leads_to_the_copy_of_its_end(tmp_path: pathlib.Path, at: str, leads: str, becomes: str) -> None:
    """Else a clone beside its source would write to the store of the source."""
    data, place = tmp_path / "data", tmp_path / "clone"
    (data / "blobs-2024").mkdir(parents=True)
    (data / "deep/down").mkdir(parents=True)
    (tmp_path / "alias").symlink_to(data)
    (data / at).symlink_to(leads.format(data=data, alias=tmp_path / "alias"))
    result = tree.copy_tree(str(data), str(tmp_path / "copy"))
    tree.write_tree_list(str(tmp_path / "tree.jsonl"), result.entries)
    tree.restore_tree(str(tmp_path / "tree.jsonl"), str(tmp_path / "copy"), str(place))
    assert {os.readlink(folder / at) for folder in (tmp_path / "copy", place)} == {becomes}
    if os.path.isdir(data / at):
        (place / at / "new").touch()
        assert not list(data.rglob("new"))
