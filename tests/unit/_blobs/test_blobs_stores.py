# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A store is what its config.xml says: blobs go where Nuxeo looks for them, and records are what the dump means."""

from __future__ import annotations

import hashlib
import json
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import keylist, passes
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.copy import Question, copy, prove
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.errors import BlobError
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.options import Options
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.store import read_config

DEEP = "<binary-store><digest>MD5</digest><depth>3</depth></binary-store>"


class Lab:
    """A store with one blob, three folders deep, and a set of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = root / "store"
        self.keys = str(root / "sets/a/blobs/default")
        self.key = hashlib.md5(b"one").hexdigest()
        self.below = f"data/{self.key[:2]}/{self.key[2:4]}/{self.key[4:6]}/{self.key}"
        (self.store / self.below).parent.mkdir(parents=True)
        (self.store / self.below).write_bytes(b"one")
        (self.store / "config.xml").write_text(DEEP)

    def backup(self, **more: t.Any) -> dict[str, t.Any]:
        return copy(Options(str(self.store), str(self.root / "pool"), set_keys=self.keys, jobs=1, **more), None)

    def restore(self, dest: Path | str, **more: t.Any) -> dict[str, t.Any]:
        pool = str(self.root / "pool")
        more = {"src_layout": "pool", "dest_layout": "store", "keys": self.keys, "jobs": 1, **more}
        return copy(Options(pool, str(dest), **more), None)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.mark.parametrize("kind", ["digest", "encrypted"])
def test_a_depth_that_nuxeo_does_not_know_of_is_refused(lab: Lab, kind: str) -> None:
    with pytest.raises(BlobError, match=r"its config.xml says depth 3, .*, and 2 was given\. Leave depth out\.$"):
        lab.backup(kind=kind, depth=2)
    assert not os.path.exists(lab.keys + ".json")
    assert lab.backup(kind=kind, depth=3)["keys"] == 1


def test_no_config_xml_is_laid_over_blobs_that_lie_in_another_way(lab: Lab) -> None:
    lab.backup()
    dest = lab.root / "back"
    with pytest.raises(BlobError, match=r"their config.xml has another depth than 2, .*\. Leave depth out\.$"):
        lab.restore(dest, depth=2)
    assert lab.restore(dest)["copied"] == 1
    assert ((dest / lab.below).read_bytes(), (dest / "config.xml").read_text()) == (b"one", DEEP)


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "UTF-16"])
def test_a_config_xml_of_any_encoding_is_read(lab: Lab, encoding: str) -> None:
    config = lab.store / "config.xml"
    config.write_bytes(f'<?xml version="1.0" encoding="{encoding}"?><!-- tél. -->\n{DEEP}'.encode(encoding))
    assert lab.backup()["keys"] == 1
    lab.restore(lab.root / "back")
    assert (lab.root / "back" / lab.below).read_bytes() == b"one"
    assert read_config(str(lab.root / "back")) == DEEP
    config.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(BlobError, match=r"config.xml': it is no XML: .*\. Mend it: it says the store's depth\.$"):
        lab.backup()


def test_a_store_is_named_in_full(lab: Lab) -> None:
    """Else the folder above it would be looked for, for ever."""
    lab.backup()
    with pytest.raises(BlobError, match=r"^Reading of 'back': it is not an absolute path\. Write it in full\.$"):
        lab.restore("back")


def test_a_set_of_no_blobs_is_proven_by_a_pool_of_none(lab: Lab) -> None:
    """Also when its mark was removed, as is said of sets that are removed by hand."""
    (lab.store / lab.below).unlink()
    lab.backup()
    (lab.root / "pool/.generation").unlink()
    assert prove(Question(pool=str(lab.root / "pool"), keys=lab.keys), None)["checked"] == 0
    with pytest.raises(BlobError, match="as if its volume were not mounted"):
        prove(Question(pool=str(lab.root / "pool")), None)


@pytest.mark.parametrize("late", [b"as in the dump", b"newer"])
def test_a_record_that_came_late_is_what_the_dump_means(lab: Lab, monkeypatch: pytest.MonkeyPatch, late: bytes) -> None:
    """NFS may say of one that was replaced that it is gone; it is there again when it is looked for."""
    records, key = lab.root / "records", "00000000-aaaa"
    (records / "data").mkdir(parents=True)
    (records / "data/other").write_bytes(b"other")
    words = {"kind": "record", "provider": "records", "state": str(lab.root / "state"), "default_provider": False}

    def backup(**more: t.Any) -> dict[str, t.Any]:
        return copy(Options(str(records), str(lab.root / "pool-r"), jobs=1, **words, **more), None)

    backup()
    require = passes.Pass._require

    def again(one: passes.Pass, listing: t.Any) -> set[bytes]:
        (records / "data" / key).write_bytes(late)
        return require(one, listing)

    monkeypatch.setattr(passes.Pass, "_require", again)
    (lab.root / "required").write_text(f"records:{key}\nrecords:other\n")
    (lab.root / "digests").write_text(f"records:{key}\t{hashlib.md5(b'as in the dump').hexdigest()}\n")
    more = {"required": str(lab.root / "required"), "record_digests": str(lab.root / "digests"), "set_keys": lab.keys}
    if late == b"newer":
        with pytest.raises(BlobError, match=f"{key}: replaced while the backup ran"):
            backup(**more)
        assert not os.path.exists(lab.keys + ".json")
        return
    backup(**more)
    lines = dict(line.split(b"\t") for line in keylist.read_lines(lab.keys))
    assert lines[key.encode()].decode() == hashlib.sha256(late).hexdigest()
    assert json.loads(Path(lab.keys + ".json").read_text())["keys"] == 2
