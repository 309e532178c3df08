# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rot in the pool is found and named, and healed by the next backup; a pool on another host does all that too."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import typing as t
from pathlib import Path

import pytest


def rot(lab: t.Any, key: str) -> None:
    """One bit."""
    path = lab.pool / key[:2] / key[2:4] / key
    content = bytearray(path.read_bytes() or b"\0")
    content[0] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("remote", [False, True], ids=["local", "far"])
def test_rot_is_found_and_healed_by_the_next_backup(lab: t.Any, far: list[str], remote: bool) -> None:
    keys = sorted(set(lab.make(80)))
    to = {"dest": f"far:{lab.pool}", "rsh": far} if remote else {}
    pool = {"pool": f"far:{lab.pool}", "rsh": far} if remote else {}
    lab.backup("a", **to)
    lab.age()
    lab.backup("a", **to)
    good = lab.expected(keys)
    rot(lab, keys[3])
    (lab.pool / keys[7][:2] / keys[7][2:4] / keys[7]).unlink()
    dry = lab.verify(keys=lab.prefix("a"), _ansible_check_mode=True, **pool)
    assert (dry.rc != 0, dry.result["rotten"], dry.result["missing"]) == (True, [keys[3]], [keys[7]]), dry.output
    assert not (lab.pool / ".rotten").exists()
    found = lab.verify(keys=lab.prefix("a"), **pool)
    assert (found.rc != 0, found.result["rotten"], found.result["missing"]) == (True, [keys[3]], [keys[7]])
    assert keys[3] in found.result["msg"] and keys[7] in found.result["msg"]
    assert len(os.listdir(lab.pool / ".rotten")) == 1
    healed = lab.backup("b", **to)
    assert (healed.rc, healed.result["copied"], healed.result["full_pass"]) == (0, 2, True), healed.output
    assert lab.kept() == good
    assert lab.verify(keys=lab.prefix("a"), **pool).rc == 0
    whole = lab.verify(**pool)
    assert (whole.rc, whole.result["checked"]) == (0, len(keys)), whole.output


def test_parts_cover_everything(lab: t.Any) -> None:
    keys = sorted(set(lab.make(120)))
    lab.backup("a")
    for key in keys[::40]:
        rot(lab, key)
    parts = [lab.verify(subset=f"{n}/5", set_aside=False) for n in range(1, 6)]
    assert sum(part.result["checked"] for part in parts) == len(keys)
    assert sorted(key for part in parts for key in part.result["rotten"]) == keys[::40]
    assert all(part.result["checked"] < len(keys) / 2 for part in parts)
    told = [part.result["msg"] for part in parts if part.rc]
    assert told and all("Verify with set_aside=true: the next backup then copies them again" in each for each in told)
    assert not (lab.pool / ".rotten").exists()
    assert lab.verify(subset="6/5").rc != 0


@pytest.mark.parametrize("remote", [False, True], ids=["local", "far"])
def test_a_file_that_lies_beside_the_folders_of_a_pool_is_no_blob(lab: t.Any, far: list[str], remote: bool) -> None:
    keys = set(lab.make(20))
    lab.backup("a")
    (lab.pool / "README").write_text("These are the blobs of prod.\n")
    pool = {"pool": f"far:{lab.pool}", "rsh": far} if remote else {}
    done = lab.verify(**pool)
    assert (done.rc, done.result.get("checked")) == (0, len(keys)), done.output


@pytest.mark.parametrize("remote", [False, True], ids=["local", "far"])
def test_what_a_volume_keeps_for_itself_is_no_part_of_a_pool(
    lab: t.Any, far: list[str], strace: t.Any, remote: bool
) -> None:
    """Only root can look into that folder of ext4, and the rot in others would not be told."""
    keys = sorted(set(lab.make(20)))
    lab.backup("a")
    rot(lab, keys[3])
    (lab.pool / "lost+found").mkdir()
    options = {"pool": f"far:{lab.pool}", "rsh": far} if remote else {"pool": str(lab.pool)}
    done = lab.run("blob_verify", prefix=strace("openat", "error=EACCES", lab.pool / "lost+found"), **options)
    assert (done.rc, done.result.get("rotten"), done.result.get("checked")) == (1, [keys[3]], len(keys)), done.output


@pytest.mark.parametrize("remote", [False, True], ids=["local", "far"])
def test_a_pool_that_is_not_there_fails(lab: t.Any, far: list[str], remote: bool) -> None:
    done = lab.verify(**({"pool": f"far:{lab.pool}", "rsh": far} if remote else {}))
    assert done.rc == 1, done.output
    assert done.result["msg"] == f"Reading of pool '{lab.pool}': No such file or directory. Mount its volume."


@pytest.mark.parametrize("remote", [False, True], ids=["local", "far"])
def test_what_cannot_be_read_is_named_and_stays(lab: t.Any, far: list[str], strace: t.Any, remote: bool) -> None:
    keys = sorted(set(lab.make(30)))
    lab.backup("a")
    good = lab.kept()
    rot(lab, keys[9])
    options: dict[str, t.Any] = {"pool": str(lab.pool)}
    if remote:
        options.update(pool=f"far:{lab.pool}", rsh=far)
    bad = strace("read", "error=EIO", lab.pool / keys[3][:2] / keys[3][2:4] / keys[3])
    done = lab.run("blob_verify", prefix=bad, **options)
    assert (done.rc, done.result["rotten"], done.result["rotten_count"]) == (1, [keys[3], keys[9]], 2), done.output
    why = f"1 rotten ({keys[9]}), 1 not proven ({keys[3]}: it cannot be read: Input/output error)"
    assert f"among {len(keys)} blobs: {why}. " in done.result["msg"], done.output
    assert [name[:32] for name in os.listdir(lab.pool / ".rotten")] == [keys[9]]
    assert lab.kept() == {path: content for path, content in good.items() if not path.endswith(keys[9])}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("remote", [False, True], ids=["local", "far"])
@pytest.mark.parametrize("what", ["rotten", "missing"])
def test_a_pool_that_is_read_only_is_verified_all_the_same(lab: t.Any, far: list[str], what: str, remote: bool) -> None:
    keys = sorted(set(lab.make(10)))
    lab.backup("a")
    if what == "rotten":
        rot(lab, keys[3])
    else:
        (lab.pool / keys[3][:2] / keys[3][2:4] / keys[3]).unlink()
    subprocess.run(["mount", "--bind", str(lab.pool), str(lab.pool)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(lab.pool)], check=True)
        done = lab.verify(keys=lab.prefix("a"), **({"pool": f"far:{lab.pool}", "rsh": far} if remote else {}))
    finally:
        subprocess.run(["umount", str(lab.pool)], check=True)
    assert (done.rc, done.result.get(what)) == (1, [keys[3]]), done.output
    assert f"1 {what} ({keys[3]})" in done.result["msg"]
    assert f"Lock of '{lab.pool}': Read-only file system" in done.result["msg"]


@pytest.mark.parametrize("remote", [False, True], ids=["local", "far"])
def test_a_pool_that_holds_nothing_looks_unmounted(lab: t.Any, far: list[str], remote: bool) -> None:
    lab.make(0)
    pool = {"pool": f"far:{lab.pool}", "rsh": far} if remote else {}
    lab.pool.mkdir(parents=True)
    (lab.pool / "lost+found").mkdir()
    for more in ({}, {"subset": "2/7"}):
        done = lab.verify(**pool, **more)
        assert (done.rc, f"Reading of pool '{pool.get('pool', lab.pool)}'" in done.result["msg"]) == (1, True), (
            done.output
        )
        assert "as if its volume were not mounted" in done.result["msg"]
    lab.backup("a")
    assert lab.verify(**pool).rc == 0, "a pool of nothing yet has the mark of a backup"
    lab.add(b"one")
    lab.backup("b")
    (lab.pool / ".generation").unlink()
    parts = [lab.verify(subset=f"{part}/5", **pool) for part in range(1, 6)]
    assert sorted((part.rc, part.result["checked"]) for part in parts) == [*[(0, 0)] * 4, (0, 1)], parts
    shutil.rmtree(lab.pool)
    lab.pool.mkdir()
    samples = [lab.verify(keys=lab.prefix("b"), subset=f"{part}/5", **pool) for part in range(1, 6)]
    assert [sample.rc for sample in samples] == [1] * 5, "not even where no blob of the set is in the sample"
    assert sorted(sample.result["missing_count"] for sample in samples) == [0, 0, 0, 0, 1]
    assert not os.listdir(lab.pool), "a mark there would hide that nothing is mounted"


def test_a_store_is_verified_against_a_set(lab: t.Any) -> None:
    keys = sorted(set(lab.make(30)))
    lab.backup("a")
    assert lab.verify(store=str(lab.store), keys=lab.prefix("a")).result["checked"] == len(keys)
    lab.path(keys[0]).write_bytes(b"rot")
    wrong = lab.verify(store=str(lab.store), keys=lab.prefix("a"))
    assert (wrong.rc != 0, wrong.result["rotten"]) == (True, [keys[0]])


def test_a_list_that_was_changed_is_no_list(lab: t.Any, tmp_path: Path) -> None:
    lab.make(30)
    lab.backup("a")
    base = next((lab.instance / "keys").iterdir())
    lines = base.read_bytes().splitlines(keepends=True)
    base.write_bytes(b"".join(lines[1:]))
    for done in (lab.verify(keys=lab.prefix("a")), lab.restore("a", tmp_path / "back")):
        assert done.rc != 0
        assert "does not give the list that was recorded" in done.result["msg"], done.output
    assert not (tmp_path / "back" / "data").exists()
    lab.backup("b")
    assert lab.verify(keys=lab.prefix("a")).rc == 0, "the same list again heals the base"


def test_a_set_that_lacks_what_the_database_refers_to_is_not_restored(lab: t.Any, tmp_path: Path) -> None:
    keys = sorted(set(lab.make(20)))
    lab.backup("a")
    required = tmp_path / "blob-keys.txt"
    required.write_text("".join(f"{key}\n" for key in keys))
    assert lab.restore("a", tmp_path / "good", required=str(required)).rc == 0
    required.write_text("".join(f"{key}\n" for key in sorted([*keys, "f" * 32])))
    done = lab.restore("a", tmp_path / "back", required=str(required))
    assert (done.rc != 0, done.result["missing"]) == (True, ["f" * 32]), done.output
    assert not list((tmp_path / "back").iterdir())


def test_a_blob_that_is_rotten_in_the_pool_is_not_restored(lab: t.Any, tmp_path: Path) -> None:
    keys = sorted(set(lab.make(20)))
    lab.backup("a")
    rot(lab, keys[0])
    (lab.pool / keys[1][:2] / keys[1][2:4] / keys[1]).unlink()
    done = lab.restore("a", tmp_path / "back")
    assert (done.rc != 0, done.result["problem_count"], done.result["copied"]) == (True, 2, len(keys) - 2)
    assert keys[0] in done.result["msg"] and keys[1] in done.result["msg"]
    assert not list((tmp_path / "back").rglob(keys[0]))


def test_a_pool_on_another_host(lab: t.Any, far: list[str], tmp_path: Path) -> None:
    keys = sorted(set(lab.make(60, size=3000)))
    big = lab.add(lab.random.randbytes(5 << 20))
    to = {"dest": f"far:{lab.pool}", "rsh": far}
    dry = lab.backup(_ansible_check_mode=True, **to)
    assert (dry.rc, dry.result["copied"], lab.pool.exists()) == (0, len(keys) + 1, False), dry.output
    done = lab.backup("a", **to)
    assert (done.rc, done.result["copied"]) == (0, len(keys) + 1), done.output
    assert lab.kept() == lab.expected([*keys, big])
    lab.age()
    lab.backup(**to)
    assert lab.backup("b", **to).result["folders_listed"] == 0
    lab.path(keys[0]).unlink()
    lab.add(b"rot", keys[0])
    (lab.pool / keys[0][:2] / keys[0][2:4] / keys[0]).unlink()
    wrong = lab.backup(full=True, **to)
    assert (wrong.rc != 0, wrong.result["problem_count"]) == (True, 1), wrong.output
    assert wrong.result["problems"][0].startswith(f"{keys[0]}: rotten"), wrong.result["problems"]
    lab.path(keys[0]).unlink()
    lab.backup("c", **to)
    back = lab.restore("c", tmp_path / "back", src=f"far:{lab.pool}", rsh=far)
    assert (back.rc, back.result["copied"]) == (0, len(keys)), back.output
    found = {p.name: p.read_bytes() for p in (tmp_path / "back" / "data").rglob("*") if p.is_file()}
    assert found == {key: lab.path(key).read_bytes() for key in [*keys[1:], big]}
    again = lab.restore("c", tmp_path / "back", src=f"far:{lab.pool}", rsh=far)
    assert (again.rc, again.result["changed"]) == (0, False)


def test_a_host_that_does_not_answer_and_one_that_is_full(lab: t.Any, tmp_path: Path, far: list[str]) -> None:
    lab.make(30)
    script = tmp_path / "deaf"
    script.write_text("#!/bin/sh\necho 'ssh: connect to host far port 22: Connection refused' >&2\nexit 255\n")
    script.chmod(0o755)
    done = lab.backup(dest=f"far:{lab.pool}", rsh=[str(script)])
    assert done.rc != 0
    assert "Connection refused" in done.result["msg"]
    full = tmp_path / "full"
    full.write_text(
        "#!/bin/sh\nshift\nexec strace -f -qq -o /dev/null -e trace=fsync,syncfs"
        ' -e inject=fsync,syncfs:error=ENOSPC sh -c "$1"\n'
    )
    full.chmod(0o755)
    done = lab.backup("a", dest=f"far:{lab.pool}", rsh=[str(full)])
    assert done.rc != 0
    assert "No space left on device" in done.result["msg"]
    assert not Path(lab.prefix("a") + ".json").exists()
    assert lab.backup("a", dest=f"far:{lab.pool}", rsh=far).rc == 0


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        ('echo "Welcome to far"; exec sh -c "$1"', "Welcome to far"),
        ("echo Hi; sleep 60", "Hi"),
        ("printf 'n\\033[1m'; sleep 60", "n\\x1b[1m"),
        ("yes | head -c 100000; exec cat", "y\\ny\\n"),
        ('sh -c "$1" | { dd bs=1 count=14 status=none; echo "Maintenance at noon"; cat; }', "Maintenance a"),
    ],
    ids=["banner", "silence", "control", "much", "later"],
)
def test_a_shell_that_prints_something_is_told_what(lab: t.Any, tmp_path: Path, script: str, shown: str) -> None:
    lab.make(3)
    chatty = tmp_path / "chatty"
    chatty.write_text(f"#!/bin/sh\nshift\n{script}\n")
    chatty.chmod(0o755)
    began = time.monotonic()
    done = lab.backup("a", dest=f"far:{lab.pool}", rsh=[str(chatty)])
    assert (done.rc, time.monotonic() - began < 30) == (1, True), done.output
    assert f"Connection to 'far': its shell printed '{shown}" in done.result["msg"], done.output
    assert "Let its shell print nothing when no terminal is there" in done.result["msg"]
    assert len(done.result["msg"]) < 600


def test_a_python_that_fails_at_once_says_why(lab: t.Any, tmp_path: Path) -> None:
    lab.make(3)
    (tmp_path / "python3").write_text("#!/bin/sh\necho 'python3: too old' >&2\nexit 1\n")
    (tmp_path / "python3").chmod(0o755)
    rsh = tmp_path / "rsh"
    rsh.write_text(f'#!/bin/sh\nshift\nPATH={tmp_path}:$PATH exec sh -c "$1"\n')
    rsh.chmod(0o755)
    done = lab.backup("a", dest=f"far:{lab.pool}", rsh=[str(rsh)])
    assert (done.rc, "it ended: python3: too old" in done.result["msg"]) == (1, True), done.output


DROPPED = "kex_exchange_identification: read: Connection reset by peer\\nConnection reset by 192.0.2.7 port 22"
JUMP = "me@jump: Permission denied (publickey).\\nkex_exchange_identification: Connection closed by remote host"


@pytest.mark.parametrize(
    ("said", "lets", "met", "told"),
    [
        (DROPPED, 2, 4, ""),
        ("kex_exchange_identification: Connection closed by remote host", 3, 6, ""),
        (DROPPED, 99, 3, "Raise MaxStartups of its sshd, or set fewer jobs"),
        ("me@far: Permission denied (publickey).", 99, 1, "reach that host by ssh without a password"),
        (JUMP, 99, 1, "reach that host by ssh without a password"),
        ("Connection closed by 192.0.2.7 port 22", 99, 1, "reach that host by ssh without a password"),
    ],
    ids=["reset", "closed", "always", "refused", "jump", "later"],
)
def test_a_connection_that_sshd_drops_before_the_login_is_tried_again(
    lab: t.Any,
    far: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    lets: int,
    met: int,
    told: str,
) -> None:
    """By default, sshd begins to drop some when ten are not logged in yet; a login that is refused stays so."""
    from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import copy, options, remote

    monkeypatch.setattr(remote, "WAITS", (0.2, 0.1))
    lab.make(20)
    tried, busy = tmp_path / "tried", tmp_path / "busy"
    busy.write_text(
        f"#!/bin/sh\necho x >> {tried}\n"
        f"[ $(($(wc -l < {tried}) % {lets})) = 0 ] || {{ printf '{said}\\n' >&2; exit 255; }}\nexec {far[0]} \"$@\"\n"
    )
    busy.chmod(0o755)
    wish = options.Options(str(lab.store), f"far:{lab.pool}", jobs=1, rsh=[str(busy)])
    if told:
        with pytest.raises(remote.BlobError, match="Connection to 'far': it ended: ") as error:
            copy.copy(wish, None)
        assert told in str(error.value)
    else:
        assert copy.copy(wish, None)["copied"] == 20
    assert len(tried.read_text().split()) == met


def test_real_ssh_says_why_it_cannot_connect(lab: t.Any) -> None:
    lab.make(3)
    done = lab.backup(dest=f"127.0.0.1:{lab.pool}", rsh=["ssh", "-p", "1", "-o", "BatchMode=yes"])
    assert done.rc != 0
    assert "Connection refused" in done.result["msg"], done.output


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mkfs.xfs") is None, reason="needs root and mkfs.xfs, to mount a file system"
)
def test_large_blobs_share_their_blocks_where_the_file_system_can(lab: t.Any, tmp_path: Path) -> None:
    image, volume = tmp_path / "image", tmp_path / "volume"
    volume.mkdir()
    with image.open("wb") as stream:
        stream.truncate(400 << 20)
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(volume)], check=True)
    try:
        lab.store = volume / "binaries"
        keys = [*lab.make(3), *(lab.add(lab.random.randbytes(20 << 20)) for dummy in range(5))]
        lab.pool = volume / "pool"
        before = shutil.disk_usage(volume).used
        done = lab.backup("a")
        assert done.rc == 0, done.output
        assert lab.kept() == lab.expected(keys)
        assert shutil.disk_usage(volume).used - before < 20 << 20, "100 MiB were copied, not shared"
        lab.path(keys[-1]).write_bytes(b"rot")
        assert lab.verify().rc == 0, "the copy is its own file"
    finally:
        subprocess.run(["umount", str(volume)], check=True)
