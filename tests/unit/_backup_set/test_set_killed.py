# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is killed at any step leaves what was published, and nothing half of what was not."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.begin import abandon, begin
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.listing import list_sets
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.place import Place
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.publish import publish
from ansible_collections.nuxeo.platform.tests.unit._backup_set.sets import given, make, sha256sum, small, verify

KILLED_BEFORE = ("open", "mkdir", "rename", "replace", "link", "unlink", "rmdir", "fsync", "chmod", "fchmod", "utime")


def killed_at(number: int, work: t.Callable[[], object]) -> bool:
    """Work in a child that is killed before its n-th change of the file system; False when it got to its end."""
    child = os.fork()
    if child == 0:
        count = 0

        def wrap(real: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
            def call(*arguments: t.Any, **more: t.Any) -> t.Any:
                nonlocal count
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **more)

            return call

        for name in KILLED_BEFORE:
            setattr(os, name, wrap(getattr(os, name)))
        try:
            work()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def holder(place: Place) -> t.Optional[str]:
    with contextlib.suppress(FileNotFoundError):
        return str(json.loads(pathlib.Path(place.lease).read_text())["run_id"])
    return None


def assert_sound(place: Place, second: int) -> None:
    """After a kill: what is listed is whole, a new run needs no hand, and nothing is left of the old one."""
    listed = list_sets(place, None, 99)
    assert listed["unreadable"] == []
    for found in listed["sets"]:
        assert sha256sum(found["path"]).returncode == 0
        assert verify(place, found["id"])["bad_count"] == 0
    make(place, second, gone=[holder(place) or ""])
    ids = {found["id"] for found in list_sets(place, None, 99)["sets"]}
    assert set(os.listdir(place.sets)) == ids
    assert set(os.listdir(place.folder)) <= {".lock", "keys", "sets", "failed.json"}


@pytest.mark.parametrize("step", ["begin", "take over", "publish", "abandon"])
def test_killed_at_any_step(place: Place, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "fill", small)
    make(place, 59)
    number, killed = 0, True
    while killed:
        number += 1
        assert number < 200
        begun = {} if step == "begin" else begin(place, {}, timeout=900)
        if step in ("publish", "abandon"):
            small(place, begun["partial"])

        def work() -> object:
            if step == "publish":
                return publish(place, begun["run_id"], given(1), begun["progress"], False)
            if step == "abandon":
                return abandon(place, begun["run_id"], "", "", False)
            return begin(place, {}, timeout=900, gone=begun.get("run_id"))

        killed = killed_at(number, work)
        if step == "publish" and not killed:
            assert list_sets(place, "20261123T020001Z", 0)["count"] == 2
        assert_sound(place, 2)
        for name in os.listdir(place.sets):
            if name != "20261123T020059Z":
                shutil.rmtree(place.set(name))
    assert number > {"begin": 8, "take over": 8, "publish": 20, "abandon": 4}[step]
