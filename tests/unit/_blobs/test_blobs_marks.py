# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mark of a pool that more than one user works on."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.copy import Question, copy, prove
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.errors import BlobError
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.options import Options

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="runs as two users")
NOBODY = 65534


class Lab:
    """A store and a pool of the user that the server runs as."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pool = root / "pool"
        self.mark = self.pool / ".generation"
        self.keys = [hashlib.md5(b"%d" % number).hexdigest() for number in range(4)]
        for number, key in enumerate(self.keys):
            path = root / "store/data" / key[:2] / key[2:4] / key
            path.parent.mkdir(parents=True)
            path.write_bytes(b"%d" % number)
        os.chown(root, NOBODY, NOBODY)

    def backup(self) -> tuple[bool, int]:
        """Of that user: whether it was full, and how many blobs were copied."""
        back, feed = os.pipe()
        if not os.fork():
            try:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
                state = str(self.root / "state")
                done = copy(Options(str(self.root / "store"), str(self.pool), state=state, jobs=1), None)
                os.write(feed, json.dumps([done["full_pass"], done["copied"]]).encode())
            finally:
                os._exit(0)
        os.close(feed)
        with open(back, "rb") as stream:
            said = stream.read()
        os.wait()
        full, copied = json.loads(said)
        return full, copied

    def rot(self, key: str) -> None:
        """And verify, as root."""
        (self.pool / key[:2] / key[2:4] / key).write_bytes(b"rot")
        with pytest.raises(BlobError, match="1 rotten"):
            prove(Question(pool=str(self.pool), jobs=1), None)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Lab]:
    monkeypatch.setattr("ansible_collections.nuxeo.platform.plugins.module_utils._blobs.folders.DOUBT", 0)
    with tempfile.TemporaryDirectory() as root:  # the user may not go where pytest has its own
        yield Lab(Path(root))


def test_a_verify_of_another_user_is_followed_by_a_full_pass_each_time(lab: Lab) -> None:
    assert lab.backup() == (True, 4)
    for key in lab.keys[:2]:
        lab.rot(key)
        assert lab.backup() == (True, 1)
        assert lab.backup() == (False, 0)
    assert {path.stat().st_uid for path in lab.pool.rglob(".*")} == {NOBODY}
    assert oct(lab.mark.stat().st_mode) == "0o100600"


def test_a_mark_that_cannot_be_read_is_another_mark_and_is_replaced(lab: Lab) -> None:
    lab.backup()
    for _time in range(2):
        os.chown(lab.mark, 0, 0)
        assert lab.backup() == (True, 0)
        assert lab.backup() == (False, 0)
