# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blobs go to the pool and come back, and only what is new is looked at."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
import typing as t
from pathlib import Path

import pytest


@pytest.mark.parametrize(("digest", "depth"), [("MD5", 2), ("SHA-1", 1), ("SHA-256", 3), ("SHA-512", 0)], ids=str)
def test_there_and_back(lab: t.Any, tmp_path: Path, tree_of: t.Any, digest: str, depth: int) -> None:
    keys = lab.make(200, digest, depth)
    done = lab.backup("a")
    assert done.rc == 0, done.output
    assert (done.result["changed"], done.result["copied"], done.result["keys"]) == (
        True,
        len(set(keys)),
        len(set(keys)),
    )
    assert lab.kept() == lab.expected(keys)
    again = lab.backup("b")
    assert (again.result["changed"], again.result["copied"]) == (False, 0)
    back = lab.restore("b", tmp_path / "back")
    assert (back.rc, back.result["copied"]) == (0, len(set(keys))), back.output
    assert not (tmp_path / "back" / ".lock").exists()
    shutil.rmtree(lab.store / "tmp")
    assert tree_of(tmp_path / "back") == tree_of(lab.store)
    second = lab.restore("a", tmp_path / "back")
    assert (second.result["changed"], second.result["copied"]) == (False, 0)


def test_restore_brings_what_is_missing_or_wrong_and_nothing_else(lab: t.Any, tmp_path: Path) -> None:
    keys = lab.make(50)
    lab.backup("a")
    good = lab.expected(keys)
    before = {key: lab.path(key).stat().st_ino for key in keys}
    lab.path(keys[0]).write_bytes(b"rot")
    lab.path(keys[1]).unlink()
    other = lab.add(b"this one is not in the set")
    dry = lab.restore("a", lab.store, _ansible_check_mode=True)
    assert (dry.rc, dry.result["copied"], lab.path(keys[0]).read_bytes()) == (0, 2, b"rot"), dry.output
    done = lab.restore("a", lab.store)
    assert (done.rc, done.result["copied"]) == (0, 2), done.output
    assert lab.expected(keys) == good
    assert lab.path(other).exists()
    assert all(lab.path(key).stat().st_ino == before[key] for key in keys[2:])


def test_the_folders_time_is_the_signal_and_a_touch_is_none(lab: t.Any, strace: t.Any, tmp_path: Path) -> None:
    keys = lab.make(100)
    lab.backup()
    tomorrow = time.time() + 86400
    os.utime(lab.folder(keys[0]), (tomorrow, tomorrow))
    assert [lab.backup().result["folders_listed"] > 0 for dummy in "ab"] == [True, True], "a future time"
    os.utime(lab.folder(keys[0]), (1, 1))
    lab.age()
    lab.backup()
    assert lab.backup().result["folders_listed"] == 0
    for key in keys:
        lab.path(key).touch()
    log = tmp_path / "calls"
    watched = lab.backup(strace=["strace", "-f", "-qq", "-o", str(log), "-e", "trace=%file,%desc"])
    assert (watched.rc, watched.result["folders_listed"]) == (0, 0), watched.output
    calls = log.read_text()
    assert str(lab.store) in calls
    assert not [key for key in keys if key in calls], "a blob was looked at, though it was only touched"
    new = lab.add(b"a new one")
    done = lab.backup()
    assert (done.result["copied"], done.result["folders_listed"] <= 4) == (1, True)
    assert lab.kept() == lab.expected([*keys, new])


def test_without_folder_times_names_are_listed_and_no_file_is_looked_at(lab: t.Any, tmp_path: Path) -> None:
    keys = lab.make(60)
    lab.backup()
    lab.age()
    lab.backup()
    log = tmp_path / "calls"
    done = lab.backup(strace=["strace", "-f", "-qq", "-o", str(log), "-e", "trace=%file,%desc"], folder_times=False)
    assert done.result["folders_listed"] == done.result["folders"] > 60
    assert done.result["full_pass"] is False
    assert not [key for key in keys if key in log.read_text()]


def header_of(path: Path) -> tuple[bytes, dict[str, t.Any]]:
    raw = path.read_bytes()
    return raw, json.loads(raw[:4096].split(b"\n", 1)[1].rstrip(b"\0"))


@pytest.mark.parametrize("what", ["boot", "src", "dest", "generation", "time", "torn", "lost"])
def test_a_state_of_other_times_or_places_is_not_trusted(lab: t.Any, what: str) -> None:
    import zlib

    lab.make(30)
    lab.backup()
    lab.age()
    lab.backup()
    assert lab.backup().result["full_pass"] is False
    path = lab.instance / "state" / "blobs-default.state"
    raw, header = header_of(path)
    if what == "lost":
        path.unlink()
    elif what == "torn":
        path.write_bytes(raw[:-1])
    else:
        if what == "time":
            header["time"] += 10**13
        else:
            header["identity"][what] = "another"
        body = json.dumps(header).encode()
        path.write_bytes((f"{zlib.crc32(body):08x}\n".encode() + body).ljust(4096, b"\0") + raw[4096:])
    done = lab.backup()
    assert done.result["full_pass"] is True
    assert (done.result["copied"], done.result["folders_listed"]) == (0, done.result["folders"])


@pytest.mark.parametrize("what", ["src", "dest"])
def test_a_state_of_a_folder_that_was_replaced_is_not_trusted(lab: t.Any, what: str) -> None:
    """As after a volume was restored: the same path, the same times of all folders, another inode."""
    keys = sorted(set(lab.make(30)))
    lab.backup()
    lab.age()
    lab.backup()
    folder = lab.store / "data" if what == "src" else lab.pool
    subprocess.run(["cp", "-a", folder, f"{folder}.copy"], check=True)
    folder.rename(f"{folder}.old")
    Path(f"{folder}.copy").rename(folder)
    if what == "dest":
        (lab.pool / keys[3][:2] / keys[3][2:4] / keys[3]).unlink()
    done = lab.backup()
    assert (done.rc, done.result["full_pass"], done.result["copied"]) == (0, True, int(what == "dest")), done.output
    assert lab.kept() == lab.expected(keys)


def test_the_bytes_of_each_blob_are_read_once(lab: t.Any, tmp_path: Path) -> None:
    keys = set(lab.make(40, size=5000)) | {lab.add(lab.random.randbytes(3 << 20))}
    log = tmp_path / "calls"
    reading = "read,pread64,readv,mmap,copy_file_range,sendfile,splice"
    assert lab.backup(strace=["strace", "-ff", "-y", "-qq", "-o", str(log), "-e", f"trace={reading}"]).rc == 0
    read = 0
    for line in (line for path in tmp_path.glob("calls.*") for line in path.read_text().splitlines()):
        if f"<{lab.store}/data/" in line:
            assert "read(" in line, line
            read += int(line.rpartition("= ")[2])
    assert read == sum(lab.path(key).stat().st_size for key in keys)


def test_data_before_names_and_names_before_the_list(lab: t.Any, tmp_path: Path) -> None:
    keys = set(lab.make(40))
    log = tmp_path / "calls"
    watched = ["strace", "-f", "-y", "-qq", "-o", str(log), "-e", "trace=syncfs,rename,write,copy_file_range,sendfile"]
    assert lab.backup("a", strace=watched).rc == 0
    pool = re.escape(str(lab.pool))
    waits = r"\.[0-9a-f]+\.tmp"
    unnamed = rf"{pool}/(?:\...{waits}/../[0-9a-f]{{32}}|../\...{waits}/[0-9a-f]{{32}}|../../\.[0-9a-f]{{32}}{waits})"
    events, named = [], set()
    for line in log.read_text().splitlines():
        if "syncfs(" in line:
            events.append("sync")
        elif "rename(" in line and (found := re.search(rf'"{pool}/((?:../)*)(..|[0-9a-f]{{32}})"\) = 0', line)):
            events.append("name")
            begins = found[2] if len(found[2]) == 32 else found[1].replace("/", "") + found[2]
            named |= {key for key in keys if key.startswith(begins)}
        elif "rename(" in line and "blobs/default.json" in line:
            events.append("list")
        elif re.search(rf"<{unnamed}>", line):
            events.append("data")
    assert named == keys
    assert events[-1] == "list"
    assert max(n for n, event in enumerate(events[:-1]) if event == "sync") > last(events, "name")
    written = 0
    for event in events:  # a name is given only when there was a sync after the last byte
        written = {"data": 1, "sync": 0}.get(event, written)
        assert not (event == "name" and written), events


def last(events: list[str], what: str) -> int:
    return len(events) - 1 - events[::-1].index(what)


def test_a_full_pass_comes_by_itself_and_gives_the_same_list(lab: t.Any) -> None:
    keys = lab.make(80)
    lab.backup("a", full_every=3)
    lab.age()
    seen = [lab.backup(f"b{n}", full_every=3).result["full_pass"] for n in range(5)]
    assert seen == [False, False, True, False, False]
    full = lab.backup("c", full=True)
    assert full.result["full_pass"] is True
    assert full.result["doubted"] == 0
    lists = {json.loads(Path(lab.prefix(n) + ".json").read_text())["list_sha256"] for n in ("a", "b0", "b4", "c")}
    assert len(lists) == 1
    victim = sorted(set(keys))[7]
    (lab.pool / victim[:2] / victim[2:4] / victim).unlink()
    assert lab.backup().result["copied"] == 0, "a pass that trusts its state does not look at the pool"
    assert lab.backup(full=True).result["copied"] == 1
    assert lab.kept() == lab.expected(keys)


def test_a_set_is_read_with_coreutils_alone(lab: t.Any) -> None:
    keys = set(lab.make(300))
    lab.backup("a")
    gone = sorted(keys)[10]
    lab.path(gone).unlink()
    new = lab.add(b"new in b")
    lab.backup("b", full=True)
    prefix = lab.prefix("b")
    base = lab.instance / json.loads(Path(prefix + ".json").read_text())["base"]
    assert json.loads(Path(lab.prefix("a") + ".json").read_text())["base"] == f"keys/{base.name}"
    read = subprocess.run(
        ["bash", "-c", f"export LC_ALL=C; comm -23 '{base}' '{prefix}.removed' | sort -m - '{prefix}.added'"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert read.stdout.split() == sorted(keys - {gone} | {new})
    assert base.name == f"default-{hashlib.sha256(base.read_bytes()).hexdigest()}.txt"
    assert (lab.pool / gone[:2] / gone[2:4] / gone).exists(), "nothing is ever deleted from the pool"


def test_check_mode_tells_and_touches_nothing(lab: t.Any, tmp_path: Path, tree_of: t.Any) -> None:
    keys = lab.make(40)
    before = tree_of(tmp_path)
    dry = lab.backup("a", _ansible_check_mode=True)
    assert (dry.rc, dry.result["changed"], dry.result["copied"]) == (0, True, len(set(keys))), dry.output
    assert tree_of(tmp_path) == before
    real = lab.backup("a")
    assert set(dry.result) == set(real.result)
    assert {k: dry.result[k] for k in ("copied", "bytes_copied", "keys")} == {
        k: real.result[k] for k in ("copied", "bytes_copied", "keys")
    }
    before = tree_of(tmp_path)
    again = lab.backup("b", _ansible_check_mode=True, full=True)
    assert (again.result["changed"], again.result["copied"]) == (False, 0)
    assert tree_of(tmp_path) == before


def test_progress_is_written(lab: t.Any, tmp_path: Path) -> None:
    lab.make(20)
    lab.backup(progress=str(tmp_path / "progress.json"))
    said = json.loads((tmp_path / "progress.json").read_text())
    assert said["done"] == said["total"] > 20
    assert said["phase"] == "blobs default"


def test_files_are_private_whatever_the_umask(lab: t.Any) -> None:
    lab.make(5)
    lab.run("blob_rsync", prefix=["sh", "-c", 'umask 000; exec "$@"', "sh"], **lab.options(set_keys=lab.prefix("a")))
    modes = {path.stat().st_mode & 0o077 for path in lab.pool.rglob("*")}
    modes |= {path.stat().st_mode & 0o077 for path in (lab.instance / "sets" / "a" / "blobs").rglob("*")}
    modes |= {path.stat().st_mode & 0o077 for path in (lab.instance / "keys").rglob("*")}
    assert modes == {0}


# --- stores whose keys are not digests


def records(lab: t.Any) -> None:
    """A store of records: Nuxeo keeps them flat, and writes a config.xml of depth 2 all the same."""
    lab.make(0)
    lab.depth = 0


def test_each_set_gives_back_the_records_of_its_time(lab: t.Any, tmp_path: Path) -> None:
    records(lab)
    keys = [f"0f1e2d3c-0000-4000-8000-{n:012d}" for n in range(20)] + ["doc-files:files"]
    for key in keys:
        lab.add(f"first {key}".encode(), key)
    options = {"kind": "record"}
    one = lab.backup("a", **options)
    assert (one.rc, one.result["keys"]) == (0, 21), one.output
    lab.add(b"second", keys[3])
    lab.path(keys[4]).unlink()
    two = lab.backup("b", **options)
    assert (two.rc, two.result["copied"], two.result["keys"]) == (0, 1, 20), two.output
    lab.restore("a", tmp_path / "a", **options)
    lab.restore("b", tmp_path / "b", **options)
    assert {p.name: p.read_text() for p in (tmp_path / "a" / "data").iterdir()} == {k: f"first {k}" for k in keys}
    found = {p.name: p.read_text() for p in (tmp_path / "b" / "data").iterdir()}
    assert (found[keys[3]], keys[4] in found, len(found)) == ("second", False, 20)
    assert lab.backup("c", **options).result["copied"] == 0
    assert lab.verify(store=str(tmp_path / "b"), keys=lab.prefix("b")).result["checked"] == 20


def test_a_store_whose_config_xml_says_another_depth(lab: t.Any, tmp_path: Path) -> None:
    """Nuxeo would look for the blobs where they are not."""
    keys = set(lab.make(30, depth=2))
    lab.backup("a")
    store = tmp_path / "back"
    store.mkdir()
    other = (lab.store / "config.xml").read_text().replace("<depth>2<", "<depth>3<")
    (store / "config.xml").write_text(other)
    assert "<depth>3<" in other
    assert lab.restore("a", store, depth=2).rc == 0
    assert (store / "config.xml").read_text() == (lab.store / "config.xml").read_text()
    assert {path.name for path in (store / "data").glob("*/*/*")} == keys
    about = Path(lab.prefix("a") + ".json")
    about.write_text(json.dumps({**json.loads(about.read_text()), "config_xml": ""}))
    (store / "config.xml").write_text(other)
    refused = lab.restore("a", store, depth=2)
    assert refused.rc != 0 and "its config.xml has another depth than 2" in refused.result["msg"], refused.output


def test_records_come_back_flat_from_a_set_that_was_made_as_if_they_had_folders(lab: t.Any, tmp_path: Path) -> None:
    records(lab)
    lab.add(b"bytes", "doc-1")
    lab.backup("a", kind="record")
    about = Path(lab.prefix("a") + ".json")
    about.write_text(json.dumps({**json.loads(about.read_text()), "depth": 2}))
    assert lab.restore("a", tmp_path / "back", kind="record").rc == 0
    assert [path.name for path in (tmp_path / "back" / "data").iterdir()] == ["doc-1"]


@pytest.mark.parametrize("kind", ["record", "encrypted"])
def test_of_two_files_with_one_key_the_set_has_the_one_that_nuxeo_reads(lab: t.Any, tmp_path: Path, kind: str) -> None:
    lab.make(0, depth=3)
    lab.depth = 0 if kind == "record" else 3
    keys = [hashlib.md5(str(number).encode()).hexdigest() for number in range(12)]
    for key in keys:
        lab.add(f"now {key}".encode(), key)
        stray = lab.store / "data" / "old" / key[:2] / key
        stray.parent.mkdir(parents=True)
        stray.write_bytes(f"stale {key}".encode())
    assert lab.backup("a", kind=kind).result["keys"] == 12
    lab.restore("a", tmp_path / "back", kind=kind)
    found = {path.name: path.read_text() for path in (tmp_path / "back" / "data").rglob("*") if path.is_file()}
    assert found == {key: f"now {key}" for key in keys}


def test_a_record_that_went_after_the_head_start_is_still_in_the_set(lab: t.Any, tmp_path: Path) -> None:
    records(lab)
    for number in range(10):
        lab.add(b"doc-%d" % number, f"doc-{number}")
    lab.backup(kind="record")
    lab.path("doc-2").unlink()
    required = tmp_path / "keys.txt"
    required.write_text("records:doc-1\nrecords:doc-2\n")
    done = lab.backup("a", kind="record", provider="records", required=str(required), default_provider=False)
    assert (done.rc, done.result["keys"]) == (0, 10), done.output
    lab.restore("a", tmp_path / "back", kind="record")
    assert (tmp_path / "back" / "data" / "doc-2").read_text() == "doc-2"


def test_a_record_that_is_written_in_place_is_copied_though_its_folder_has_not_changed(lab: t.Any) -> None:
    records(lab)
    lab.add(b"first", "doc-1")
    lab.age()
    assert lab.backup(kind="record").result["copied"] == 1
    lab.path("doc-1").write_bytes(b"second")
    assert lab.backup("a", kind="record").result["copied"] == 1


def test_a_full_pass_brings_back_the_bytes_of_a_record_that_the_pool_has_lost(lab: t.Any) -> None:
    records(lab)
    lab.add(b"one", "doc-1")
    lab.add(b"two", "doc-2")
    lab.age()
    lab.backup(kind="record")
    before = lab.kept()
    (lab.pool / sorted(before)[0]).unlink()
    assert (lab.backup("a", kind="record", full=True).result["copied"], lab.kept()) == (1, before)


def test_the_set_has_the_bytes_of_a_record_that_the_dump_means(lab: t.Any, tmp_path: Path) -> None:
    """Whatever has become of it between the head start, the snapshot and the pass that counts."""
    records(lab)
    keys = ["same", "before", "after", "twice", "again", "gone", "new", "nobody"]
    for key in keys[:6]:
        lab.add(b"old " + key.encode(), key)
    lab.backup(kind="record")  # the head start
    meant = {key: f"old {key}" for key in keys[:6]}
    for key in ("before", "twice", "new", "nobody"):  # these changes the snapshot has seen
        meant[key] = f"mid {key}"
        lab.add(meant[key].encode(), key)
    meant.pop("twice"), meant.pop("nobody")
    required, digests = tmp_path / "keys.txt", tmp_path / "digests.txt"
    required.write_text("".join(f"records:{key}\n" for key in sorted(meant)))
    lines = [f"records:{key}\t{hashlib.md5(text.encode()).hexdigest()}\n" for key, text in meant.items()]
    digests.write_text("".join(sorted(lines)) + f"records:before\t{'0' * 64}\nother:same\t{'0' * 32}\n")
    lab.add(b"young after", "after")  # and these it has not
    lab.add(b"young again", "again")
    lab.add(b"old again", "again")
    lab.path("gone").unlink()
    options = {"kind": "record", "provider": "records", "default_provider": False, "required": str(required)}
    done = lab.backup("a", record_digests=str(digests), **options)
    assert (done.rc, done.result["superseded"], done.result["missing_count"]) == (0, 1, 0), done.output
    lab.restore("a", tmp_path / "back", kind="record")
    found = {path.name: path.read_text() for path in (tmp_path / "back" / "data").iterdir()}
    assert {key: found[key] for key in meant} == meant
    assert lab.verify(keys=lab.prefix("a")).rc == 0


def test_bytes_of_a_record_that_were_never_read_are_an_error(lab: t.Any, tmp_path: Path) -> None:
    """Replaced before the snapshot, and once more or removed after it."""
    records(lab)
    for key in (f"doc-{number}" for number in range(1, 8)):
        lab.add(b"old", key)
    lab.backup(kind="record")
    lab.add(b"young", "doc-1")
    lab.path("doc-3").unlink()
    required, digests = tmp_path / "keys.txt", tmp_path / "digests.txt"
    required.write_text("doc-1\ndoc-2\ndoc-3\n")
    digests.write_text("".join(f"{key}\t{hashlib.sha1(b'mid').hexdigest()}\n" for key in ("doc-1", "doc-3")))
    done = lab.backup("a", kind="record", required=str(required), record_digests=str(digests))
    for key in ("doc-1", "doc-3"):
        assert done.rc == 1 and f"{key}: replaced while the backup ran" in done.result["msg"], done.output
    assert done.result["problem_count"] == 2 and not Path(lab.prefix("a") + ".json").exists()
    digests.unlink()
    lab.add(b"younger", "doc-1")
    lost = lab.backup("a", kind="record", required=str(required), record_digests=str(digests))
    assert "Reading of the digests of records" in lost.result["msg"], lost.output


def test_a_colon_in_the_key_of_a_record_is_not_taken_for_another_store(lab: t.Any, tmp_path: Path) -> None:
    records(lab)
    for key in (f"doc-{number}-files:0" for number in range(9)):
        lab.add(key.encode(), key)
    required = tmp_path / "keys.txt"

    def backup(name: str, *keys: str) -> t.Any:
        required.write_text("".join(f"{key}\n" for key in sorted(keys)))
        return lab.backup(name, kind="record", required=str(required), other_providers=["other"])

    done = backup("a", "doc-1-files:0", "default:doc-2-files:0", "other:0f")
    assert (done.rc, done.result["foreign"], done.result["keys"]) == (0, [], 9), done.output
    assert lab.restore("a", tmp_path / "back", required=str(required), other_providers=["other"]).rc == 0
    lab.path("doc-1-files:0").unlink()  # a record that went after the head start
    assert backup("b", "doc-1-files:0").result["keys"] == 9
    done = backup("c", "doc-2-files:0", "third:0f")
    assert (done.rc, done.result["foreign"]) == (0, ["third"]), done.output
    done = backup("d", "default:doc-9-files:0")
    assert (done.rc != 0, done.result["missing"], done.result["foreign"]) == (True, ["doc-9-files:0"], [])


def test_encrypted_blobs_are_proven_by_what_was_recorded(lab: t.Any, tmp_path: Path) -> None:
    lab.make(0)
    clear = [hashlib.md5(str(n).encode()).hexdigest() for n in range(30)]
    for key in clear:
        lab.add(b"NUXEOCRYPT\x01" + lab.random.randbytes(200), key)
    done = lab.backup("a", kind="encrypted")
    assert (done.rc, done.result["copied"]) == (0, 30), done.output
    lab.age()
    lab.backup(kind="encrypted")
    assert lab.backup("b", kind="encrypted").result["folders_listed"] == 0
    first = lab.path(clear[0]).read_bytes()
    lab.add(b"NUXEOCRYPT\x01 another salt", clear[0])
    assert lab.backup("c", kind="encrypted").result["copied"] == 1
    lab.restore("b", tmp_path / "back")
    assert (tmp_path / "back" / "data" / clear[0][:2] / clear[0][2:4] / clear[0]).read_bytes() == first
    assert lab.verify(keys=lab.prefix("a")).rc == 0
    sha = hashlib.sha256(first).hexdigest()
    (lab.pool / sha[:2] / sha[2:4] / sha).write_bytes(b"NUXEOCRYPT rot")
    wrong = lab.verify(keys=lab.prefix("a"))
    assert (wrong.rc, wrong.result["rotten"]) == (1, [clear[0]])


def test_keys_that_are_no_digests_are_kept_beside_those_that_are(lab: t.Any, tmp_path: Path, tree_of: t.Any) -> None:
    lab.make(20)
    for key in ("ab", "imported-from-elsewhere"):
        lab.add(key.encode(), key)
    assert (lab.store / "data" / "000" / "ab").exists()
    done = lab.backup("a")
    assert (done.rc, done.result["keys"]) == (0, 22), done.output
    lab.restore("a", tmp_path / "back")
    shutil.rmtree(lab.store / "tmp")
    assert tree_of(tmp_path / "back") == tree_of(lab.store)


def test_a_blob_in_the_wrong_folder_is_not_lost(lab: t.Any, tmp_path: Path) -> None:
    key = lab.make(1)[0]
    content = lab.path(key).read_bytes()
    (lab.store / "data" / "zz").mkdir()
    lab.path(key).rename(lab.store / "data" / "zz" / key)
    assert lab.backup("a").result["keys"] == 1
    lab.restore("a", tmp_path / "back")
    assert (tmp_path / "back" / "data" / key[:2] / key[2:4] / key).read_bytes() == content
