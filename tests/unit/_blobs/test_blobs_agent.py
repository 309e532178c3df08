# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The helper on a pool's host: what becomes of the lock when the other side ends, is cut off or falls silent."""

from __future__ import annotations

import fcntl
import io
import json
import os
import signal
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import agent, remote
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.wire import CALL, CHUNK, REPLY, Channel, Garbled


class Helper:
    """One helper, and the other side's end of its pipes."""

    def __init__(self, pool: Path, change: tuple[bytes, bytes]) -> None:
        self.pool = pool
        sent = remote.program(os.fsencode(pool))
        assert sent.count(change[0]) == 1
        program = pool.parent / f"program-{len(list(pool.parent.iterdir()))}"
        program.write_bytes(sent.replace(*change))
        argv = [sys.executable, "-IS", program]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.feed = t.cast(t.IO[bytes], self.process.stdin)
        self.channel = Channel(io.BufferedReader(t.cast(io.RawIOBase, self.process.stdout)), self.feed.fileno())

    def call(self, name: str, payload: bytes = b"") -> t.Any:
        self.channel.send(CALL, name.encode(), payload)
        self.channel.flush()
        kind, meta, _payload = self.channel.receive()
        assert kind == REPLY
        return json.loads(meta)

    def locked(self) -> bool:
        with (self.pool / ".lock").open("rb+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def ended(self) -> int:
        return self.process.wait(30)


@pytest.fixture
def helper(tmp_path: Path) -> t.Iterator[t.Callable[..., Helper]]:
    made: list[Helper] = []

    def make(idle: int = 3600, change: tuple[bytes, bytes] | None = None) -> Helper:
        made.append(Helper(tmp_path / "pool", change or (b"IDLE = %d" % agent.IDLE, b"IDLE = %d" % idle)))
        return made[-1]

    yield make
    for each in made:
        each.process.kill()
        each.process.wait()


def test_at_the_end_of_a_run_nothing_is_left_of_it(helper: t.Callable[..., Helper]) -> None:
    one = helper()
    one.call("begin")
    assert one.locked()
    one.call("shelf", b"0")
    one.call("end")
    assert not one.locked()
    assert sorted(os.listdir(one.pool)) == [".generation", ".lock"]
    one.feed.close()
    assert one.ended() == 0


def test_a_run_in_which_nothing_is_new_does_not_wait_for_what_copies(helper: t.Callable[..., Helper]) -> None:
    one = helper(change=(b"_FICLONE = ", b"_FICLONE = 1 // 0 or "))
    for name in ("look", "begin", "look", "end"):
        one.call(name)
    one.channel.send(CALL, b"shelf", b"0")
    one.channel.flush()
    assert one.ended() == 1, "that would have read it"


def test_a_run_that_is_cut_off_loses_its_lock_and_the_next_one_clears(helper: t.Callable[..., Helper]) -> None:
    one = helper()
    one.call("begin")
    one.feed.close()
    assert one.ended() == 0
    assert not one.locked()
    assert (one.pool / ".tmp").exists(), "others of the run may still write there"
    two = helper()
    two.call("begin")
    two.call("end")
    assert not (two.pool / ".tmp").exists()


def test_a_run_that_falls_silent_loses_its_lock(helper: t.Callable[..., Helper]) -> None:
    """As when its host lost power: nothing comes any more, and no end of the connection either."""
    one = helper(idle=1)
    one.call("begin")
    assert one.ended() == -signal.SIGALRM
    assert not one.locked()


def test_who_holds_no_lock_may_be_silent(helper: t.Callable[..., Helper]) -> None:
    """A worker has nothing to ask for as long as it reads a large blob, or verify as long as its workers read."""
    reader, holder = helper(idle=1), helper(idle=1)
    holder.call("begin")
    holder.ended()
    assert reader.process.poll() is None
    assert reader.call("ping") is None


@pytest.mark.parametrize("sent", [b"Welcome to this host", b"r" + b"\n" * 20, b"k" + b"\0" * 7 + b"\1" + b"\0" * 20])
def test_what_no_message_begins_with_is_not_waited_for(sent: bytes) -> None:
    with pytest.raises(Garbled) as error:
        Channel(io.BytesIO(sent), -1).receive()
    assert error.value.args == (sent[:13],)


def test_a_list_of_names_may_be_far_larger_than_a_part_of_a_blob(tmp_path: Path) -> None:
    names = b"\n".join(b"%0128d" % number for number in range(40_000))
    with (tmp_path / "wire").open("wb") as stream:
        channel = Channel(io.BytesIO(), stream.fileno())
        channel.send(REPLY, b"null", names)
        channel.send(CHUNK, b"name sha512", b"x" * (1 << 20))
        channel.flush()
    received = Channel(io.BytesIO((tmp_path / "wire").read_bytes()), -1)
    assert received.receive() == (REPLY, b"null", names)
    assert len(received.receive()[2]) == 1 << 20
