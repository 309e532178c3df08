# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong is named, nothing else is lost, and nothing that is wrong gets into the pool."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import typing as t
from pathlib import Path

import pytest

AS_ROOT = os.geteuid() == 0


def test_files_in_flight_are_no_blobs(lab: t.Any) -> None:
    keys = lab.make(10)
    data = lab.store / "data"
    for name in ("bin_123.tmp", f"{keys[0]}77.tmp", "create_9.tmp"):
        (data / name).write_bytes(b"half")
    (lab.folder(keys[0]) / f"{keys[0]}_8.tmp").write_bytes(b"half")
    (data / ".nfs0001").write_bytes(b"gone")
    done = lab.backup("a")
    assert (done.rc, done.result["ignored"], done.result["keys"]) == (0, 5, len(set(keys))), done.output
    assert lab.kept() == lab.expected(keys)


def test_what_is_no_blob_is_refused_by_name_and_the_rest_is_copied(lab: t.Any, tmp_path: Path) -> None:
    keys = lab.make(30)
    data = lab.store / "data"
    wrong = {
        "a" * 32: "a symbolic link",
        "b" * 32: "a FIFO",
        "c" * 32: "a socket",
        "two\\nlines": "control character",
        "bad\\\\xff": "not UTF-8",
    }
    (data / ("a" * 32)).symlink_to(lab.path(keys[0]))
    os.mkfifo(data / ("b" * 32))
    with socket.socket(socket.AF_UNIX) as listening:
        before = os.getcwd()
        os.chdir(data)
        listening.bind("c" * 32)
        os.chdir(before)
    (data / "two\nlines").write_bytes(b"x")
    (Path(os.fsdecode(bytes(data) + b"/bad\xff"))).write_bytes(b"x")
    if AS_ROOT:
        os.mknod(data / ("d" * 32), 0o020600, os.makedev(1, 3))
        wrong["d" * 32] = "a device"
    done = lab.backup("a")
    assert done.rc != 0
    assert done.result["problem_count"] == len(wrong), done.output
    for name, why in wrong.items():
        assert [line for line in done.result["problems"] if name in line and why in line], (name, why, done.result)
        assert name in done.result["msg"]
    assert lab.kept() == lab.expected(keys)
    assert not Path(lab.prefix("a") + ".json").exists(), "a set must not have a list that lacks something"


def test_a_rotten_source_is_named_and_does_not_get_into_the_pool(lab: t.Any) -> None:
    keys = sorted(set(lab.make(60)))
    for key in keys[:25]:
        lab.path(key).write_bytes(b"rot")
    lab.age()  # else every folder would be listed again, whatever was wrong in it
    done = lab.backup("a")
    assert (done.rc, done.result["problem_count"], len(done.result["problems"])) == (1, 25, 20), done.output
    assert "rotten" in done.result["msg"]
    assert "and 5 more" in done.result["msg"]
    assert len(done.output) < 65536
    assert lab.kept() == lab.expected(keys[25:])
    again = lab.backup("b")
    assert (again.rc, again.result["problem_count"]) == (1, 25), "what was wrong stays wrong until it is mended"


@pytest.mark.parametrize("remote", [False, True], ids=["local", "far"])
def test_blobs_that_nuxeo_has_encrypted_are_not_to_be_removed(lab: t.Any, far: list[str], remote: bool) -> None:
    """A contribution makes a store encrypted, and nuxeo.conf knows nothing of it."""
    more: dict[str, t.Any] = {"dest": f"far:{lab.pool}", "rsh": far} if remote else {}
    lab.make(0)
    for number in range(30):
        lab.add(b"NUXEOCRYPT\1" + lab.random.randbytes(99), hashlib.md5(b"clear %d" % number).hexdigest())
    done = lab.backup(**more)
    assert (done.rc, done.result["problem_count"]) == (1, 30), done.output
    assert all(": it is encrypted, its bytes have the digest " in problem for problem in done.result["problems"])
    assert "Give the store of those that are encrypted the kind encrypted, in backup_blob_stores" in done.result["msg"]
    assert "mend or remove the others, then run again" in done.result["msg"]
    assert lab.backup(kind="encrypted", **more).result["copied"] == 30


@pytest.mark.parametrize("remote", [False, True], ids=["local", "far"])
@pytest.mark.parametrize("error", ["EIO", "EACCES"])
@pytest.mark.parametrize("calls", ["openat", "read"])
def test_a_blob_that_cannot_be_read_is_named(
    lab: t.Any, strace: t.Any, far: list[str], error: str, calls: str, remote: bool
) -> None:
    more: dict[str, t.Any] = {"dest": f"far:{lab.pool}", "rsh": far} if remote else {}
    keys = sorted(set(lab.make(20)))
    done = lab.backup("a", strace=strace(calls, f"error={error}", lab.path(keys[5])), **more)
    assert done.rc != 0, done.output
    assert done.result.get("problem_count") == 1, done.output
    assert done.result["problems"][0].startswith(keys[5])
    assert os.strerror(getattr(__import__("errno"), error)) in done.result["problems"][0]
    assert lab.kept() == lab.expected(key for key in keys if key != keys[5])
    assert lab.backup("a", **more).result["copied"] == 1


@pytest.mark.parametrize("remote", [False, True], ids=["local", "far"])
@pytest.mark.parametrize("block", [1, 3])
def test_a_blob_that_cannot_be_read_in_the_pool_is_named(
    lab: t.Any, strace: t.Any, far: list[str], tmp_path: Path, block: int, remote: bool
) -> None:
    keys = sorted({*lab.make(20), lab.add(lab.random.randbytes(5 << 20))})
    large = max(keys, key=lambda key: lab.path(key).stat().st_size)
    assert lab.backup("a").rc == 0
    bad = strace("read", f"error=EIO:when={block}", lab.pool / large[:2] / large[2:4] / large)
    back = tmp_path / "back"
    options = {"src": str(lab.pool), "src_layout": "pool", "dest": str(back), "dest_layout": "store"}
    if remote:
        options.update(src=f"far:{lab.pool}", rsh=far)
    done = lab.run("blob_rsync", prefix=bad, keys=lab.prefix("a"), jobs=1, **options)
    assert (done.rc, done.result.get("problem_count"), done.result["copied"]) == (1, 1, len(keys) - 1), done.output
    assert done.result["problems"][0] == f"{large}: in the pool it cannot be read: Input/output error"
    found = {p.name: p.read_bytes() for p in (back / "data").rglob("*") if p.is_file()}
    assert found == {key: lab.path(key).read_bytes() for key in keys if key != large}


def test_a_folder_that_cannot_be_listed_is_named_and_its_blobs_stay_known(lab: t.Any, strace: t.Any) -> None:
    keys = sorted(set(lab.make(20)))
    lab.backup("a")
    folder = lab.folder(keys[5])
    done = lab.backup("b", strace=strace("getdents64", "error=EIO", folder), full=True)
    assert (done.rc != 0, done.result["problem_count"], done.result["keys"]) == (True, 1, len(keys)), done.output
    assert f"{keys[5][:2]}/{keys[5][2:4]}/" in done.result["problems"][0]
    assert lab.backup("b").rc == 0


def test_a_blob_that_vanishes_is_an_error_only_when_it_is_needed(lab: t.Any, strace: t.Any, tmp_path: Path) -> None:
    keys = sorted(set(lab.make(20)))
    gone = strace("openat", "error=ENOENT", lab.path(keys[5]))
    done = lab.backup("a", strace=gone)
    assert (done.rc, done.result["vanished"], done.result["keys"]) == (0, 1, len(keys) - 1), done.output
    required = tmp_path / "blob-keys.txt"
    required.write_text("".join(f"{key}\n" for key in keys) + f"other:{'0' * 32}\n")
    lab.path(keys[5]).unlink()
    done = lab.backup("b", required=str(required))
    assert (done.rc != 0, done.result["missing"], done.result["missing_count"]) == (True, [keys[5]], 1), done.output
    assert keys[5] in done.result["msg"]
    assert not Path(lab.prefix("b") + ".json").exists()


def test_what_vanished_since_the_head_start_is_in_the_set_when_it_is_needed(lab: t.Any, tmp_path: Path) -> None:
    keys = sorted(set(lab.make(20)))
    lab.backup()
    required = tmp_path / "blob-keys.txt"
    required.write_text("".join(f"default:{key}\n" for key in keys))
    lab.path(keys[0]).unlink()
    lab.path(keys[1]).unlink()
    done = lab.backup("a", required=str(required))
    assert (done.rc, done.result["keys"]) == (0, len(keys)), done.output
    assert lab.restore("a", tmp_path / "back").result["copied"] == len(keys)


@pytest.mark.parametrize("kind", ["digest", "encrypted"])
def test_a_needed_blob_that_came_into_a_folder_already_listed_is_fetched(lab: t.Any, tmp_path: Path, kind: str) -> None:
    keys = sorted(set(lab.make(20)))
    lab.backup(kind=kind)
    lab.age()
    lab.backup(kind=kind)
    new = lab.add(b"came late")
    path = lab.instance / "state" / "blobs-default.state"
    probe = lab.backup(kind=kind, _ansible_check_mode=True)
    assert probe.result["copied"] == 1
    # the state says that the folder is as it is now: what a network file system with stale attributes would say
    raw = path.read_bytes()
    lab.backup(kind=kind, dest=str(tmp_path / "other"))
    lab.age()
    lab.backup(kind=kind, dest=str(tmp_path / "other"))
    header = json.loads(raw[:4096].split(b"\n", 1)[1].rstrip(b"\0"))
    other = path.read_bytes()
    other_header = json.loads(other[:4096].split(b"\n", 1)[1].rstrip(b"\0"))
    other_header["identity"] = header["identity"]
    assert new.encode() in other
    required = tmp_path / "keys.txt"
    required.write_text("".join(f"{key}\n" for key in sorted([*keys, new])))
    import zlib

    doctored = other[4096:].replace(new.encode(), b"f" * 32)
    other_header["text_crc"] = zlib.crc32(doctored[other_header["start"] - 4096 :])
    body = json.dumps(other_header).encode()
    path.write_bytes((f"{zlib.crc32(body):08x}\n".encode() + body).ljust(4096, b"\0") + doctored)
    done = lab.backup("a", kind=kind, required=str(required))
    assert done.rc == 0, done.output
    name = new if kind == "digest" else hashlib.sha256(b"came late").hexdigest()
    assert lab.kept()[f"{name[:2]}/{name[2:4]}/{name}"] == b"came late"


# --- the source looks empty


@pytest.mark.parametrize("what", ["missing", "empty"])
def test_a_store_that_is_not_mounted_is_refused_from_the_first_time(lab: t.Any, what: str) -> None:
    if what == "empty":
        lab.store.mkdir()
    done = lab.backup("a")
    assert done.rc != 0
    assert "Mount the volume" in done.result["msg"]
    assert lab.backup("a", accept_shrink=True).rc == 0


@pytest.mark.parametrize("with_state", [True, False])
def test_a_store_that_shrank_is_refused_unless_that_is_accepted(lab: t.Any, with_state: bool) -> None:
    lab.make(0)
    keys = sorted(lab.add(b"%d" % number) for number in range(100))
    lab.backup("a")
    for key in keys[:29]:
        lab.path(key).unlink()
    assert lab.backup(_ansible_check_mode=True).rc == 0, "not yet"
    lab.path(keys[29]).unlink()
    if not with_state:
        (lab.instance / "state" / "blobs-default.state").unlink()
    for _time in range(2):
        done = lab.backup("b")
        assert done.rc != 0
        assert "it holds 70 blobs, at the last pass it held 100" in done.result["msg"]
    assert lab.backup("b", accept_shrink=True).rc == 0
    assert lab.backup("c").rc == 0


def test_a_head_start_without_a_state_does_not_hide_that_a_store_shrank(lab: t.Any) -> None:
    lab.make(30)
    lab.backup("a")
    shutil.rmtree(lab.instance / "state")
    shutil.rmtree(lab.store / "data")
    (lab.store / "data").mkdir()
    lab.backup()
    done = lab.backup("b")
    assert done.rc != 0
    assert "it holds 0 blobs, at the last pass it held 30" in done.result["msg"]


@pytest.mark.skipif(not AS_ROOT, reason="only root can mount")
def test_a_full_volume_of_the_state_is_named(lab: t.Any, tmp_path: Path) -> None:
    keys = lab.make(400)
    states = tmp_path / "states"
    states.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(states)], check=True)
    try:
        done = lab.backup("a", state=str(states / "blobs-default"))
        assert done.rc != 0
        assert f"'{states}/blobs-default.state': No space left on device" in done.result["msg"]
    finally:
        subprocess.run(["umount", str(states)], check=True)
    assert lab.kept() == lab.expected(keys), "what is copied stays"


# --- the target


def test_a_target_that_is_the_source_is_refused(lab: t.Any, tmp_path: Path) -> None:
    lab.make(5)
    for dest in (lab.store, lab.store / "data", lab.store / "backup" / "pool"):
        done = lab.backup(dest=str(dest))
        assert done.rc != 0
        assert "same folder" in done.result["msg"] or "inside the store" in done.result["msg"]
    (tmp_path / "link").symlink_to(lab.store / "data")
    assert "same folder" in lab.backup(dest=str(tmp_path / "link")).result["msg"]


@pytest.mark.skipif(not AS_ROOT, reason="only root can mount")
def test_a_full_or_read_only_volume(lab: t.Any, tmp_path: Path) -> None:
    keys = lab.make(60, size=30_000)
    volume = tmp_path / "volume"
    volume.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(volume)], check=True)
    try:
        options = {"dest": str(volume / "pool")}
        full = lab.backup("a", **options)
        assert full.rc != 0
        assert "No space left on device" in full.result["msg"]
        assert "Free space" in full.result["msg"]
        assert not Path(lab.prefix("a") + ".json").exists()
        subprocess.run(["mount", "-o", "remount,size=64m", str(volume)], check=True)
        assert lab.backup("a", **options).rc == 0
        assert lab.verify(pool=str(volume / "pool"), keys=lab.prefix("a")).result["checked"] == len(set(keys))
        subprocess.run(["mount", "-o", "remount,ro", str(volume)], check=True)
        refused = lab.backup("b", **options)
        assert "Read-only file system" in refused.result["msg"]
    finally:
        subprocess.run(["umount", str(volume)], check=True)


@pytest.mark.parametrize(
    ("calls", "error", "when"),
    [("syncfs", "EIO", ""), ("rename", "EDQUOT", ":when=5+"), ("mkdir", "EROFS", ":when=5+")],
)
def test_an_error_of_the_target_ends_the_run_and_the_next_one_mends_it(
    lab: t.Any, strace: t.Any, calls: str, error: str, when: str
) -> None:
    keys = lab.make(40)
    lab.backup()
    keys += lab.make(40)
    only = lab.pool if calls == "syncfs" else None
    done = lab.backup("a", strace=strace(calls, f"error={error}{when}", only), jobs=1)
    assert done.rc != 0, done.output
    assert done.result["failed"] is True, done.output
    assert os.strerror(getattr(__import__("errno"), error)) in done.result["msg"]
    assert not Path(lab.prefix("a") + ".json").exists()
    assert not [path for path in lab.unfinished() if path.is_file()], "an ended run takes its temporary files with it"
    assert lab.backup("a").rc == 0
    assert lab.kept() == lab.expected(keys)


@pytest.mark.skipif(not AS_ROOT, reason="only root can mount")
def test_restore_to_a_store_whose_data_is_a_volume_of_its_own(lab: t.Any, tmp_path: Path) -> None:
    keys = lab.make(30)
    lab.backup("a")
    back = tmp_path / "back"
    (back / "data").mkdir(parents=True)
    (back / ".lock").write_text("somebody else's")
    subprocess.run(["mount", "-t", "tmpfs", "none", str(back / "data")], check=True)
    try:
        done = lab.restore("a", back)
        assert (done.rc, done.result.get("copied")) == (0, len(keys)), done.output
        assert {p.name for p in (back / "data").rglob("*") if p.is_file()} == set(keys)
    finally:
        subprocess.run(["umount", str(back / "data")], check=True)
    assert (back / ".lock").read_text() == "somebody else's"
