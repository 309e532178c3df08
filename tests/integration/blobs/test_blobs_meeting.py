# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that meet, and runs that are killed: what comes of them is what comes of one clean run."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import typing as t
from pathlib import Path

import pytest

AS_ROOT = os.geteuid() == 0


def test_a_second_run_waits_for_the_first(lab: t.Any) -> None:
    lab.make(5)
    lab.backup()
    with (lab.pool / ".lock").open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        threading.Timer(2.0, lambda: fcntl.flock(held, fcntl.LOCK_UN)).start()
        began = time.monotonic()
        assert lab.backup().rc == 0
        assert time.monotonic() - began >= 2.0


def test_two_runs_at_once_are_like_one_after_the_other(lab: t.Any) -> None:
    keys = lab.make(1500)
    runs = [
        subprocess.Popen(
            lab.argv("blob_rsync", **lab.options(set_keys=lab.prefix(name))), stdout=subprocess.PIPE, text=True
        )
        for name in "ab"
    ]
    said = [json.loads(run.communicate()[0].splitlines()[-1]) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert sorted(each["copied"] for each in said) == [0, len(set(keys))], said
    assert lab.kept() == lab.expected(keys)
    lists = {json.loads(Path(lab.prefix(name) + ".json").read_text())["list_sha256"] for name in "ab"}
    assert len(lists) == 1


def outcome(lab: t.Any) -> tuple[dict[str, bytes], str]:
    return lab.kept(), json.loads(Path(lab.prefix("a") + ".json").read_text())["list_sha256"]


def session_is_over(leader: int) -> bool:
    """Whether all processes of a killed run end, also the one that stands for the other host."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if subprocess.run(["pgrep", "-s", str(leader)], check=False).returncode == 1:
            return True
        time.sleep(0.05)
    return False


def no_process_left(lab: t.Any) -> bool:
    """Whether the lock of the pool comes free: it does when the last worker has ended."""
    with (lab.pool / ".lock").open("rb+") as held:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.05)
            else:
                return True
    return False


@pytest.mark.parametrize("remote", [False, True], ids=["local", "far"])
def test_killed_at_any_moment_and_run_again_is_like_one_clean_run(lab: t.Any, far: list[str], remote: bool) -> None:
    keys = lab.make(3000)  # so many that no machine is done before the first kill
    more: dict[str, t.Any] = {"dest": f"far:{lab.pool}", "rsh": far} if remote else {}
    killed = 0
    for delay in (0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8):
        child = subprocess.Popen(
            lab.argv("blob_rsync", **lab.options(set_keys=lab.prefix("a"), **more)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(delay)
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
            killed += 1
        child.wait()
        assert session_is_over(child.pid)
        for path, content in lab.kept().items():
            assert hashlib.md5(content).hexdigest() == Path(path).name, "a name for bytes that are not whole"
    assert killed
    assert lab.backup("a", **more).rc == 0
    assert outcome(lab)[0] == lab.expected(keys)
    assert lab.backup("a", full=True, **more).result["copied"] == 0
    assert {name for name in os.listdir(lab.pool) if name.startswith(".")} == {".generation", ".lock"}
    assert not lab.unfinished()


@pytest.mark.parametrize("remote", [False, True], ids=["local", "far"])
def test_what_a_killed_run_leaves_is_removed_by_the_next_one(
    lab: t.Any, far: list[str], strace: t.Any, remote: bool
) -> None:
    """Also when the blobs that were under way are no longer in the store."""
    more: dict[str, t.Any] = {"dest": f"far:{lab.pool}", "rsh": far} if remote else {}
    keys = lab.make(20)
    assert lab.backup(**more).rc == 0
    gone = lab.make(5)
    argv = [*strace("syncfs", "delay_enter=60000000"), *lab.argv("blob_rsync", **lab.options(**more))]
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while child.poll() is None and sum(path.is_file() for path in lab.unfinished()) < len(gone):
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert no_process_left(lab)
    assert lab.unfinished(), "this test needs a run that leaves something"
    assert lab.verify(pool=str(lab.pool)).result["checked"] == len(keys), "no file without its name is taken for a blob"
    for key in gone:
        lab.path(key).unlink()
    assert lab.backup("a", **more).rc == 0
    assert not lab.unfinished()
    assert lab.kept() == lab.expected(keys)


@pytest.mark.parametrize("calls", ["rename", "syncfs", "mkdir", "pwrite64", "unlink", "fsync"])
def test_killed_at_the_nth_call_and_run_again_is_like_one_clean_run(lab: t.Any, strace: t.Any, calls: str) -> None:
    keys = lab.make(60)
    for number in (1, 3, 9):
        done = lab.backup("a", strace=strace(calls, f"signal=SIGKILL:when={number}"))
        assert done.rc != 0 or number > 1, done.output
        assert not (lab.pool / ".lock").exists() or no_process_left(lab)
        for path, content in lab.kept().items():
            assert hashlib.md5(content).hexdigest() == Path(path).name
    assert lab.backup("a").rc == 0
    assert outcome(lab)[0] == lab.expected(keys)
    left = [name for folder in ("state", "keys") for name in os.listdir(lab.instance / folder) if name[0] == "."]
    assert not left, "what killed runs were writing is removed"


def owned(root: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """All that is below a folder: owner, group, mode, bytes."""
    found = {}
    for path in [root, *root.rglob("*")]:
        info = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(root))] = (info.st_uid, info.st_gid, info.st_mode, content)
    return found


@pytest.mark.parametrize("calls", ["rename", "mkdir", "fchown", "fchmod", "openat"])
@pytest.mark.parametrize("made", [True, False], ids=["folder", "nothing"])
def test_restore_killed_and_run_again_is_like_one_clean_restore(
    lab: t.Any, tmp_path: Path, strace: t.Any, calls: str, made: bool
) -> None:
    lab.make(80)
    lab.backup("a")

    def place(name: str) -> Path:
        home = tmp_path / name
        home.mkdir()
        home.chmod(0o750)
        if AS_ROOT:
            os.chown(home, 65534, 65534)
        if made:
            (home / "back").mkdir()
            shutil.copystat(home, home / "back")
            os.chown(home / "back", home.stat().st_uid, home.stat().st_gid)
        return home

    def restore(home: Path, **more: t.Any) -> t.Any:
        options = {"src": str(lab.pool), "src_layout": "pool", "dest": str(home / "back"), "dest_layout": "store"}
        return lab.run("blob_rsync", keys=lab.prefix("a"), jobs=1, **options, **more)

    clean, killed = place("clean"), place("killed")
    assert restore(clean).rc == 0
    ended = []
    only = killed / "back" / "data" if calls == "openat" else None
    for number in (1, 2, 3, 9, 25):
        ended.append(restore(killed, prefix=strace(calls, f"signal=SIGKILL:when={number}", only)).rc)
    assert any(ended), "this test needs runs that are killed"
    assert restore(killed).rc == 0
    assert owned(killed) == owned(clean)
