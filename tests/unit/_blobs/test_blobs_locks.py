# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One writer at a time; the second one says who the first is."""

from __future__ import annotations

import errno
import fcntl
import functools
import hashlib
import os
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import deliver, lock, passes, workers
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.copy import copy
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.errors import BlobError
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.lock import Lock
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.options import Options
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.workers import Workers
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import PlatformError
from ansible_collections.nuxeo.platform.plugins.module_utils._progress import Progress


def test_the_holder_is_named(tmp_path: Path) -> None:
    with Lock(str(tmp_path)), pytest.raises(BlobError) as error, Lock(str(tmp_path), patience=0.2):
        pass
    assert f"process {os.getpid()}" in str(error.value)
    assert "since 20" in str(error.value)
    with Lock(str(tmp_path), patience=0):
        pass


def test_a_lock_that_is_removed_when_given_back_still_lets_only_one_in(tmp_path: Path) -> None:
    inside = 0
    most = 0

    def enter() -> None:
        nonlocal inside, most
        for _time in range(5):
            with Lock(str(tmp_path), remove=True):
                inside += 1
                most = max(most, inside)
                threading.Event().wait(0.002)
                inside -= 1

    threads = [threading.Thread(target=enter) for dummy in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert not list(tmp_path.iterdir())


def test_a_lock_that_was_removed_while_it_was_opened_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its holder gave it back and removed it, and the next one has made and taken another."""
    path, others = tmp_path / ".lock", []
    real = fcntl.flock

    def flock(descriptor: int, how: int) -> None:
        if not others:
            path.unlink()
            others.append(path.open("wb"))
            real(others[0], fcntl.LOCK_EX)
        real(descriptor, how)

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    with pytest.raises(BlobError, match="it is held by"), Lock(str(tmp_path), patience=0):
        pass
    others[0].close()
    with Lock(str(tmp_path), patience=0):
        pass


def test_a_file_system_without_locks_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(_descriptor: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    with pytest.raises(BlobError, match="No locks available"), Lock(str(tmp_path), patience=0):
        pass


class Doubler:
    """Holds results back until flushed."""

    def __init__(self, fail: bool) -> None:
        self.fail = fail
        self.held: list[int] = []

    def handle(self, task: int) -> None:
        if self.fail and task == 7:
            raise BlobError("This", "that", "do so")
        if self.fail and task == 8:
            os._exit(9)
        if self.fail and task == 9:
            time.sleep(100_000)
        self.held.append(task * 2)

    def take(self, flush: bool) -> list[t.Any]:
        if not flush:
            return []
        said, self.held = self.held, []
        return said

    def holds(self) -> bool:
        return bool(self.held)


def test_results_that_are_held_back_come_in_the_end() -> None:
    with Workers(3, lambda number: Doubler(False)) as workers:
        workers.queue.extend(range(50))
        found = []
        for result in workers.results():
            if result == 10:
                workers.queue.append(1000)
            found.append(result)
    assert sorted(found) == sorted([*(2 * n for n in range(50)), 2000])


@pytest.mark.parametrize(("task", "said"), [(7, "This: that. do so."), (8, "ended from outside")])
def test_an_error_in_a_worker_is_raised_by_its_parent(task: int, said: str) -> None:
    with pytest.raises(BlobError, match=said), Workers(2, lambda number: Doubler(True)) as workers:
        workers.queue.extend([1, 2, task, 3])
        list(workers.results())


def test_a_worker_that_hangs_does_not_keep_back_the_error_of_another() -> None:
    with pytest.raises(BlobError, match="do so"), Workers(2, lambda number: Doubler(True)) as workers:
        workers.queue.extend([9, 7])
        list(workers.results())


@pytest.mark.parametrize("back", [False, True], ids=["to the pool", "to the store"])
def test_a_run_whose_place_was_taken_gives_up_the_lock_in_the_middle_of_large_blobs(
    back: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = hashlib.md5(b"blob").hexdigest()
    folder = tmp_path / "store" / "data" / key[:2] / key[2:4]
    folder.mkdir(parents=True)
    (folder / key).write_bytes(b"blob")
    partial, pool, keys = tmp_path / "sets" / ".partial-1", str(tmp_path / "pool"), str(tmp_path / "sets/1/blobs/x")
    partial.mkdir(parents=True)
    options = Options(str(tmp_path / "store"), pool, set_keys=keys, jobs=1)
    if back:
        copy(options, None)
        options = Options(
            pool, str(tmp_path / "other"), src_layout="pool", dest_layout="store", keys=keys, depth=2, jobs=1
        )

    def taken(*_: t.Any) -> None:
        partial.rename(partial.with_name(".abandoned-1"))  # as who takes over does; the beat goes on meanwhile
        time.sleep(60)

    for module, worker in ((passes, "Visitor"), (deliver, "Deliverer")):
        monkeypatch.setattr(module, "Progress", functools.partial(Progress, interval=0.05))
        monkeypatch.setattr(getattr(module, worker), "handle", taken)
    monkeypatch.setattr(workers, "WAKE", 0.05)
    began = time.monotonic()
    with pytest.raises(PlatformError, match="another run has taken this one's place"):
        copy(options, str(partial / "progress.json"))
    assert time.monotonic() - began < 30
    with Lock(pool, patience=0):
        pass
