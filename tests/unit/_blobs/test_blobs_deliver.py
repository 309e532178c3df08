# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the pool to a store: nothing outside of it is written to, and what is said to be there is on the disk."""

from __future__ import annotations

import hashlib
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import deliver, keylist
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.copy import copy
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.errors import BlobError
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.lock import Lock
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.options import Options

SHA = hashlib.sha256(b"bytes").hexdigest()


class Lab:
    """A pool with one blob, and lists that name it by any keys."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = root / "deep" / "store"
        place = root / "pool" / SHA[:2] / SHA[2:4] / SHA
        place.parent.mkdir(parents=True)
        place.write_bytes(b"bytes")

    def restore(self, *keys: str, **more: t.Any) -> dict[str, t.Any]:
        prefix = str(self.root / "sets" / "a" / "blobs" / "default")
        about = {"provider": "default", "kind": "record", "digest": "MD5", "depth": 0, "keys": len(keys)}
        lines = b"".join(f"{key}\t{SHA}\n".encode() for key in sorted(keys))
        keylist.write_list(prefix, about, lines, "")
        options = Options(str(self.root / "pool"), str(self.store), src_layout="pool", dest_layout="store", jobs=1)
        options.keys = prefix
        return copy(options, None)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_a_key_that_leads_out_of_the_store_is_refused(lab: Lab) -> None:
    """Whoever could write to a backup root could write anywhere, as the user that restores."""
    outside = str(lab.root / "outside")
    wrong = ("../above", "../../../outside", outside, "below/one", ".hidden", "..")
    with pytest.raises(BlobError, match="6 blobs are missing or rotten") as error:
        lab.restore("doc-1", *wrong)
    assert error.value.result["copied"] == 1
    told = " ".join(error.value.result["problems"])
    assert all(f"{key}: it is not the key of a blob that could be proven" in told for key in wrong)
    data = lab.store / "data"
    assert sorted(os.listdir(lab.store)) == ["data"] and os.listdir(data) == ["doc-1"]
    assert sorted(os.listdir(lab.root)) == ["deep", "keys", "pool", "sets"] and os.listdir(lab.root / "deep") == [
        "store"
    ]


def test_names_are_durable_when_a_delivery_says_so(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.nuxeo.platform.plugins.module_utils._blobs.disk.HAS_SYNCFS", True)
    synced: list[list[str]] = []
    monkeypatch.setattr(deliver.Volume, "sync_names", lambda *_: synced.append(os.listdir(lab.store / "data")))
    assert lab.restore("doc-1")["copied"] == 1
    assert [sorted(names) for names in synced] == [[deliver.TEMPORARY, "doc-1"]]


def test_only_one_delivers_to_a_store(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.restore("doc-1")
    monkeypatch.setattr(Lock.__init__, "__defaults__", (0, False, ".lock"))
    with Lock(str(lab.store), name=".nuxeo-platform-blobs.lock"), pytest.raises(BlobError, match="it is held by"):
        lab.restore("doc-1", "doc-2")
    assert lab.restore("doc-1", "doc-2")["copied"] == 1
