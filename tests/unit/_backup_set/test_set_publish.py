# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A set is published whole or not at all, listed as it is, and verified by sha256sum as by ours."""

from __future__ import annotations

import contextlib
import copy
import errno
import hashlib
import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import tempfile
import typing as t

import jsonschema
import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import begin as begin_file
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import publish as publish_file
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import schema, sums
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.begin import abandon, begin, check_place
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.listing import list_sets
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.place import Place, SetError
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.publish import publish, set_id
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.verify import Verifier
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import PlatformError
from ansible_collections.nuxeo.platform.plugins.module_utils._progress import Progress

DOCS = pathlib.Path(__file__).resolve().parents[3] / "docs"
Json = t.Dict[str, t.Any]


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    (tmp_path / "root").mkdir()
    return Place(str(tmp_path / "root"), "acme")


def given(second: int = 0) -> Json:
    return {
        "backup_date": f"2026-11-23T02:00:{second:02d}.512345Z",
        "kind": "hot",
        "leader": "n1",
        "nodes": {"n1": True, "n2": False},
        "nuxeo": {"version": "2023.15", "database": {"kind": "h2", "name": "nuxeo"}},
        "uncovered": ["redis"],
    }


def fill(place: Place, partial: str) -> None:
    """What the stores write."""
    folder = pathlib.Path(partial)
    (folder / "files/n1/data/stream").mkdir(parents=True, exist_ok=True)
    (folder / "files/n1/data/stream/a.cq4").write_bytes(os.urandom(3 << 20))
    for name in (b"new\nline", b"back\\slash", b"cr\rcr", b"caf\xe9", b" lead", b"-rf", b"*star", "é".encode()):
        with open(os.fsencode(partial) + b"/files/n1/data/" + name, "wb") as stream:
            stream.write(name)
    with contextlib.suppress(FileExistsError):
        (folder / "files/n1/data/link").symlink_to("stream/a.cq4")
    (folder / "database/dump").mkdir(exist_ok=True)
    (folder / "database/dump/toc.dat").write_bytes(b"PGDMP")
    (folder / "database/dump/toc.dat").chmod(0o644)
    (folder / "database/dump.json").write_text('{"tables": 3, "client_version": "15.4", "much": "%s"}' % ("x" * 9999))
    base = pathlib.Path(place.folder) / "keys"
    base.mkdir(exist_ok=True)
    digest = hashlib.sha256(b"abcd\n").hexdigest()
    (base / f"default-{digest}.txt").write_bytes(b"abcd\n")
    about = {
        "provider": "default",
        "keys": 7,
        "kind": "digest",
        "base": f"keys/default-{digest}.txt",
        "base_sha256": digest,
    }
    (folder / "blobs/default.json").write_text(json.dumps(about))


def make(place: Place, second: int = 0, gone: t.Sequence[str] = ()) -> Json:
    begun = begin(place, {"node": "n1"}, timeout=900, gone=gone)
    fill(place, begun["partial"])
    return publish(place, begun["run_id"], given(second), begun["progress"], False)


def sha256sum(folder: str) -> subprocess.CompletedProcess[str]:
    argv = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    return subprocess.run(argv, cwd=folder, check=False, capture_output=True, text=True, errors="replace")


def verify(place: Place, wanted: str = "latest", clients: t.Optional[t.Dict[int, str]] = None) -> Json:
    def run(argv: t.Sequence[str]) -> t.Tuple[int, str, str]:
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    with Progress(None, "verify") as progress:
        return Verifier(place, wanted, progress, run, clients or {}).all()


def bad(place: Place, clients: t.Optional[t.Dict[int, str]] = None) -> t.Dict[str, str]:
    with pytest.raises(SetError) as caught:
        verify(place, "latest", clients)
    assert caught.value.result["bad_count"] == len(caught.value.result["bad"])
    return {str(item["path"]): str(item["problem"]) for item in caught.value.result["bad"]}


def test_a_published_set_is_whole_and_checked_by_coreutils(place: Place) -> None:
    old = os.umask(0)
    try:
        done = make(place)
    finally:
        os.umask(old)
    folder = pathlib.Path(done["path"])
    assert done["changed"] and folder.name == "20261123T020000Z"
    checked = sha256sum(str(folder))
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    names = subprocess.run(["find", ".", "-type", "f", "-print0"], cwd=folder, check=True, capture_output=True)
    assert len(names.stdout.split(b"\0")) - 1 == len(sums.read_sums(str(folder))) + 1
    assert not list(folder.rglob("*progress*"))
    assert {stat.S_IMODE(p.lstat().st_mode) for p in folder.rglob("*") if p.is_dir()} == {0o700}
    assert {stat.S_IMODE(p.lstat().st_mode) for p in folder.rglob("*") if p.is_file() and not p.is_symlink()} == {0o600}
    assert not (folder / "conf").exists()  # nothing was in it
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest == done["manifest"]
    assert manifest["database"] == {"tables": 3, "client_version": "15.4"}
    assert manifest["blobs"]["default"]["keys"] == 7
    size = sum(p.lstat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    assert manifest["bytes"] == size - sum((folder / n).stat().st_size for n in ("manifest.json", "SHA256SUMS"))
    assert not os.path.exists(place.lease) and os.listdir(place.sets) == [folder.name]
    result = verify(place)
    assert (result["bad_count"], result["files"], result["key_lists"]) == (0, manifest["files"] + 1, 1)


def test_publishing_again_changes_nothing_and_two_cuts_in_a_second_clash(place: Place) -> None:
    done = make(place)
    again = publish(place, done["manifest"]["run_id"], given(), None, False)
    assert (again["changed"], again["manifest"]) == (False, done["manifest"])
    begun = begin(place, {}, timeout=900)
    with pytest.raises(SetError, match="two cuts in one second"):
        publish(place, begun["run_id"], given(), None, False)
    assert os.path.isdir(begun["partial"])
    assert verify(place)["bad_count"] == 0


def test_killed_just_after_the_rename_is_published_not_failed(place: Place) -> None:
    begun = begin(place, {}, timeout=900)
    fill(place, begun["partial"])
    lease = pathlib.Path(place.lease).read_text()
    publish(place, begun["run_id"], given(), None, False)
    pathlib.Path(place.lease).write_text(lease)
    again = publish(place, begun["run_id"], given(), None, False)  # its role tries again
    assert not again["changed"] and not os.path.exists(place.lease)
    pathlib.Path(place.lease).write_text(lease)
    assert begin(place, {}, timeout=900, gone=[begun["run_id"]])["took_over"]["run_id"] == begun["run_id"]
    found = list_sets(place, None, 9)
    assert (found["count"], found["last_failure"]) == (1, None)


def test_a_run_that_lost_its_lease_publishes_nothing(place: Place) -> None:
    begun = begin(place, {}, timeout=900)
    fill(place, begun["partial"])
    second = begin(place, {}, timeout=900, gone=[begun["run_id"]])
    with pytest.raises(PlatformError, match=f"not this run's any more, run {second['run_id']} has it"):
        publish(place, begun["run_id"], given(), None, False)
    os.unlink(place.lease)
    with pytest.raises(PlatformError, match="not this run's any more, it is gone"):
        publish(place, second["run_id"], given(), None, False)
    assert list_sets(place, None, 9)["sets"] == []


def test_the_lease_is_looked_at_again_at_the_last_moment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = begin(place, {}, timeout=900)
    real = publish_file._sync_folders

    def lose(*arguments: t.Any) -> None:
        real(*arguments)
        lease = json.loads(pathlib.Path(place.lease).read_text())
        pathlib.Path(place.lease).write_text(json.dumps({**lease, "run_id": "another"}))

    monkeypatch.setattr(publish_file, "_sync_folders", lose)
    with pytest.raises(SetError, match="not this run's any more"):
        publish(place, begun["run_id"], given(), None, False)
    assert list_sets(place, None, 9)["count"] == 0


@pytest.mark.parametrize("key", sorted(given()))
def test_an_incomplete_manifest_is_not_published(place: Place, key: str) -> None:
    begun = begin(place, {}, timeout=900)
    wanted = given()
    del wanted[key]
    if key == "uncovered":
        assert publish(place, begun["run_id"], wanted, None, False)["manifest"]["uncovered"] == []
        return
    with pytest.raises(SetError):
        publish(place, begun["run_id"], wanted, None, False)
    assert list_sets(place, None, 9)["sets"] == [] and os.path.exists(place.lease)
    publish(place, begun["run_id"], given(), None, False)  # nothing of the first try is in the way
    assert verify(place)["bad_count"] == 0


@pytest.mark.parametrize(
    "date", ["", "2026-11-23", "2026-11-23T02:00:00", "2026-11-23T02:00:00+01:00", "2026-13-01T00:00:00Z"]
)
def test_a_backup_date_is_a_moment(date: str) -> None:
    with pytest.raises(SetError, match="is not a time"):
        set_id(date)
    assert set_id("2026-11-23T02:00:04Z") == set_id("2026-11-23T02:00:04.9Z") == "20261123T020004Z"


def test_a_set_without_its_dump_is_not_published(place: Place) -> None:
    begun = begin(place, {}, timeout=900)
    wanted = given()
    wanted["nuxeo"]["database"]["kind"] = "postgresql"
    with pytest.raises(SetError, match="no dump has told anything"):
        publish(place, begun["run_id"], wanted, None, False)
    fill(place, begun["partial"])
    assert publish(place, begun["run_id"], wanted, None, False)["manifest"]["database"]["tables"] == 3


def test_a_set_without_its_audit_is_not_published(place: Place) -> None:
    begun = begin(place, {}, timeout=900)
    wanted = given()
    wanted["nuxeo"]["audit"] = {"kept": "elasticsearch", "index": "nuxeo-audit"}
    names: dict[str, t.Any] = {"names": {"audit": "nuxeo-audit"}, "documents": {"nuxeo-audit": 3}, "own": True}
    told = {**names, "repository": "r", "location": "audit", "snapshot": "s", "uuid": "u"}
    for audit in ({}, {"audit": told}):
        with pytest.raises(SetError, match="no snapshot has told anything"):
            publish(place, begun["run_id"], {**wanted, **audit}, None, False)
    with open(os.path.join(begun["partial"], "audit.json"), "w", encoding="utf-8") as stream:
        stream.write("{}")
    assert publish(place, begun["run_id"], {**wanted, "audit": told}, None, False)["changed"]


def test_the_way_to_a_repository_stays_open_and_nothing_else(place: Place) -> None:
    begun = begin(place, {}, timeout=900)
    for mode, left in ((0o711, 0o711), (0o755, 0o711), (0o700, 0o700), (0o777, 0o711)):
        os.chmod(place.folder, mode)
        begun = begin(place, {}, timeout=900, gone=[begun["run_id"]])
        assert os.stat(place.folder).st_mode & 0o777 == left


def test_a_fifo_in_a_set_is_refused(place: Place) -> None:
    begun = begin(place, {}, timeout=900)
    os.mkfifo(os.path.join(begun["partial"], "files/fifo"))
    with pytest.raises(SetError, match="'files/fifo' is neither"):
        publish(place, begun["run_id"], given(), None, False)


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


def small(place: Place, partial: str) -> None:
    pathlib.Path(partial, "database/dump.json").write_text("{}")
    pathlib.Path(partial, "files/n1").symlink_to("nowhere")


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


def spoil(folder: pathlib.Path, how: str) -> t.Tuple[str, str]:
    """Damage a set; gives the path and a word of the problem that is to be told."""
    name = "files/n1/data/stream/a.cq4"
    if how == "bit":
        with open(folder / name, "r+b") as stream:
            stream.seek(1 << 20)
            byte = stream.read(1)
            stream.seek(1 << 20)
            stream.write(bytes([byte[0] ^ 4]))
    elif how == "short":
        os.truncate(folder / name, 100)
    elif how == "missing":
        (folder / name).unlink()
        return name, "listed and not there"
    elif how == "extra":
        (folder / "files/extra").write_text("x")
        return "files/extra", "there and not listed"
    elif how == "link":
        (folder / "files/n1/data/link").unlink()
        (folder / "files/n1/data/link").symlink_to("/etc/passwd")
        return "files/n1/data/link", "links.jsonl says 'stream/a.cq4'"
    elif how == "link for file":
        (folder / name).rename(folder.parent / "away")
        (folder / name).symlink_to(folder.parent / "away")
        return name, "links.jsonl says None"
    elif how == "fifo":
        os.mkfifo(folder / "files/fifo")
        return "files/fifo", "neither a file"
    elif how == "links":
        (folder / "links.jsonl").write_text("{}\n")
        return "links.jsonl", "its SHA-256 is"
    elif how == "sums":
        text = (folder / "SHA256SUMS").read_bytes().splitlines(keepends=True)
        (folder / "SHA256SUMS").write_bytes(b"".join(line for line in text if b"toc.dat" not in line))
        return "SHA256SUMS", "which says 13"
    elif how == "base":
        next((folder.parents[1] / "keys").iterdir()).write_text("abce\n")
        return f"keys/{next((folder.parents[1] / 'keys').iterdir()).name}", "missing or damaged"
    elif how == "base gone":
        path = next((folder.parents[1] / "keys").iterdir())
        path.unlink()
        return f"keys/{path.name}", "missing or damaged"
    elif how == "blobs":
        (folder / "blobs/default.json").unlink()
        return "blobs/default.json", "cannot be read"
    return name, "its SHA-256 is"


HOWS = ["bit", "short", "missing", "extra", "link", "fifo", "links", "sums", "base", "blobs"] + [
    "link for file",
    "base gone",
]


@pytest.mark.parametrize("how", HOWS)
def test_damage_is_found(place: Place, how: str) -> None:
    make(place, 1)
    newest = pathlib.Path(make(place, 2)["path"])
    path, problem = spoil(newest, how)
    found = bad(place)
    assert problem in found[path], found
    if not how.startswith("base"):
        assert verify(place, "20261123T020001Z")["bad_count"] == 0
    if how in ("bit", "short", "missing", "links"):
        assert sha256sum(str(newest)).returncode == 1


def test_the_list_of_what_is_bad_is_bounded(place: Place) -> None:
    folder = pathlib.Path(make(place)["path"])
    for number in range(50):
        (folder / f"files/extra{number}").touch()
    with pytest.raises(SetError) as caught:
        verify(place)
    assert (len(caught.value.result["bad"]), caught.value.result["bad_count"]) == (20, 50)
    assert "50 bad, the first: files/extra0: it is there and not listed" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"x\n", b"0" * 64 + b"  manifest.json"])
def test_sums_that_cannot_be_read(place: Place, content: bytes) -> None:
    folder = pathlib.Path(make(place)["path"])
    (folder / "SHA256SUMS").write_bytes(content)
    with pytest.raises(SetError):
        verify(place)


def program(folder: pathlib.Path, text: str) -> str:
    path = folder / f"pg_restore{len(list(folder.iterdir()))}"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_the_dump_is_listed_by_a_client_that_is_new_enough(place: Place, tmp_path: pathlib.Path) -> None:
    make(place)
    good = program(tmp_path, f'[ "$*" = "--list {place.sets}/20261123T020000Z/database/dump" ] && echo "1; 2 TABLE x"')
    never = program(tmp_path, "exit 9")
    assert verify(place, clients={14: never})["dump_listed"] is False
    assert verify(place, clients={14: never, 15: good, 18: never})["dump_listed"] is True
    assert "ended with 9" in bad(place, {15: never})["database/dump"]
    assert "0 entries" in bad(place, {15: program(tmp_path, "exit 0")})["database/dump"]
    assert "1 entries: warning" in bad(place, {15: program(tmp_path, "echo warning >&2; echo '1; 2'")})["database/dump"]


def test_only_complete_sets_are_listed_and_the_rest_is_told(place: Place) -> None:
    for second in (5, 7, 6):
        make(place, second)
    running = begin(place, {}, timeout=900)["run_id"]
    sets = pathlib.Path(place.sets)

    def variant(name: str, change: t.Callable[[Json], t.Any]) -> None:
        shutil.copytree(sets / "20261123T020005Z", sets / name, symlinks=True)
        path = sets / name / "manifest.json"
        value = {**json.loads(path.read_text()), "id": name}
        changed = change(value)
        path.write_text(changed if isinstance(changed, str) else json.dumps(value))

    variant("20271123T020001Z", lambda m: m.update(id="20261123T020005Z"))
    variant("20271123T020002Z", lambda m: m.update(instance="other"))
    variant("20271123T020003Z", lambda m: '{"half')
    variant("20271123T020004Z", lambda m: m.pop("nuxeo") and None)
    variant("20271123T020005Z", lambda m: m.update(format=2))
    variant("20271123T020006Z", lambda m: "[]")
    variant("20271123T020007Z", lambda m: None)
    (sets / "20271123T020007Z/SHA256SUMS").unlink()
    variant("20271123T020008Z", lambda m: None)
    (sets / "20271123T020008Z/manifest.json").unlink()
    variant("20271123T020009Z", lambda m: "[" * 100000)
    (sets / "20271123T020010Z").symlink_to("20261123T020005Z")
    (sets / "20271123T020011Z").write_text("a file")
    (sets / "old").mkdir()
    (sets / ".abandoned-x").mkdir()
    found = list_sets(place, "latest", 2)
    assert [item["id"] for item in found["sets"]] == ["20261123T020007Z", "20261123T020006Z"]
    assert (found["count"], found["latest"], found["id"]) == (3, "20261123T020007Z", "20261123T020007Z")
    assert (found["in_progress"], found["lease"]["run_id"]) == (1, running)
    reasons = {item["name"][-3:]: item["reason"] for item in found["unreadable"]}
    assert found["unreadable_count"] == len(reasons) == 12
    for name, word in {
        "01Z": "manifest says id '20261123T020005Z'",
        "02Z": "manifest says instance 'other'",
        "03Z": "cannot be read",
        "04Z": "manifest.nuxeo is missing",
        "05Z": "its format is 2 and this collection knows 1",
        "06Z": "not of type object",
        "07Z": "it has no SHA256SUMS",
        "08Z": "it has no manifest.json",
        "09Z": "cannot be read",
        "10Z": "it is a link",
        "11Z": "it has no SHA256SUMS",
        "old": "its name is not that of a set",
    }.items():
        assert word in reasons[name], (name, reasons[name])
    with pytest.raises(SetError, match="its format is 2"):
        list_sets(place, "20271123T020005Z", 2)
    with pytest.raises(SetError, match="there is no such set, the newest are 20261123T020007Z, 20261123T020006Z"):
        list_sets(place, "20200101T000000Z", 2)


def test_a_list_of_nothing(place: Place) -> None:
    found = list_sets(place, None, 9)
    assert (found["sets"], found["latest"], found["lease"], found["last_failure"]) == ([], None, None, None)
    assert os.listdir(place.root) == []
    with pytest.raises(SetError, match="Choice of set 'latest' of 'acme' in .*: there is no complete set"):
        list_sets(place, "latest", 9)
    with pytest.raises(SetError, match="there is no such folder"):
        list_sets(Place(place.root + "/no", "acme"), None, 9)


def test_a_failure_is_listed(place: Place) -> None:
    run_id = begin(place, {}, timeout=900)["run_id"]
    abandon(place, run_id, "dump", "No space left on device", False)
    failure = list_sets(place, None, 9)["last_failure"]
    assert (failure["run_id"], failure["step"], failure["error"]) == (run_id, "dump", "No space left on device")


@pytest.fixture
def mounted(tmp_path: pathlib.Path) -> t.Iterator[t.Callable[..., pathlib.Path]]:
    """Mounts on demand; needs root, as every way to a full or read-only disk does."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    made: t.List[pathlib.Path] = []

    def mount(*words: str) -> pathlib.Path:
        made.append(pathlib.Path(tempfile.mkdtemp(dir=tmp_path)))
        subprocess.run(["mount", *words, str(made[-1])], check=True)
        return made[-1]

    yield mount
    for folder in reversed(made):
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_publishes_nothing(mounted: t.Callable[..., pathlib.Path]) -> None:
    root = mounted("-t", "tmpfs", "-o", "size=4m", "tmpfs")
    place = Place(str(root), "acme")
    begun = begin(place, {}, timeout=900)
    pathlib.Path(begun["partial"], "database/dump.json").write_text("{}")
    full = pathlib.Path(begun["partial"], "files/big")
    with contextlib.suppress(OSError), open(full, "wb", buffering=0) as stream:
        while True:
            stream.write(b"x" * 4096)
    with pytest.raises(
        SetError, match=f"No space left on device.*Free space in the file system of '{root}', then run again"
    ):
        publish(place, begun["run_id"], given(), None, False)
    assert list_sets(place, None, 9)["count"] == 0
    assert abandon(place, begun["run_id"], "publish", "full", False) and os.listdir(place.sets) == []
    begun = begin(place, {}, timeout=900)
    publish(place, begun["run_id"], given(), begun["progress"], False)
    assert verify(place)["bad_count"] == 0


def test_an_error_of_the_disk_is_not_published(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = begin(place, {}, timeout=900)
    small(place, begun["partial"])
    real = os.fsync

    def fail(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("database/dump.json"):
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SetError, match="Input/output error .*dump.json"):
        publish(place, begun["run_id"], given(), None, False)
    assert list_sets(place, None, 9)["count"] == 0


def test_the_place_is_checked_before_anything_is_made(place: Place, mounted: t.Callable[..., pathlib.Path]) -> None:
    assert check_place(place, [], 0, False) > 1 << 20
    with pytest.raises(SetError, match=r"\d+ bytes are needed and \d+ are free: \d+ bytes are missing"):
        check_place(place, [], 1 << 60, False)
    with pytest.raises(SetError, match="lies in the root file system"):
        check_place(Place("/", "acme"), [], 0, True)
    readonly = mounted("-t", "tmpfs", "-o", "ro", "tmpfs")
    with pytest.raises(SetError, match="mounted read-only"):
        check_place(Place(str(readonly), "acme"), [], 0, False)
    with pytest.raises(SetError, match=r"Backup root '.*/no': there is no such folder\. Make it"):
        check_place(Place(place.root + "/no", "acme"), [], 0, False)
    disk = mounted("-t", "tmpfs", "tmpfs")
    assert check_place(Place(str(disk), "acme"), [], 0, True) > 0


def test_a_root_inside_what_it_backs_up_is_refused(
    tmp_path: pathlib.Path, mounted: t.Callable[..., pathlib.Path]
) -> None:
    data = tmp_path / "srv/nuxeo/data"
    (data / "backup/acme/data").mkdir(parents=True)
    (tmp_path / "link").symlink_to(data / "backup")
    bound = mounted("--bind", str(data / "backup"))
    inside = "is inside '.*', which is backed up"
    for root in (data, data / "backup", tmp_path / "link", bound):
        with pytest.raises(SetError, match=inside):
            check_place(Place(str(root), "acme"), [str(tmp_path), str(data)], 0, False)
        with pytest.raises(SetError, match=inside):
            check_place(Place(str(root), "acme"), [str(data)] if root != bound else [str(data / "backup")], 0, False)
    with pytest.raises(SetError, match="'.*/nuxeo/data', which is backed up, is inside '.*/srv/nuxeo'"):
        check_place(Place(str(tmp_path / "srv"), "nuxeo"), [str(data)], 0, False)
    assert check_place(Place(str(tmp_path / "srv"), "other"), [str(data), "/no/such/folder"], 0, False) > 0
    (tmp_path / "srv/data-backup").mkdir()
    assert check_place(Place(str(tmp_path / "srv/data-backup"), "acme"), [str(data)], 0, False) > 0


def test_all_problems_of_a_place_are_told_at_once(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SetError, match="which is backed up; .* bytes are missing"):
        check_place(Place(str(tmp_path), "acme"), [str(tmp_path)], 1 << 60, False)


def test_the_published_schema_is_the_one_that_is_used(place: Place) -> None:
    assert json.loads((DOCS / "manifest.schema.json").read_text()) == schema.SCHEMA
    jsonschema.Draft202012Validator.check_schema(schema.SCHEMA)


def mutations(value: Json) -> t.Iterator[Json]:
    wrong: t.List[t.Any] = [
        None,
        "",
        "x",
        "x\n",
        0,
        -1,
        1,
        1.5,
        1.0,
        True,
        [],
        [1],
        ["a"],
        [""],
        {},
        {"kind": 1},
        {"version": "1"},
    ]
    for key in [*value, "unknown"]:
        less = copy.deepcopy(value)
        if less.pop(key, None) is not None:
            yield less
        for bad_value in wrong:
            yield {**copy.deepcopy(value), key: bad_value}
    for date in (
        "2026-11-23T02:00:04Z\n",
        "2026-11-23T02:00:04.1234567Z",
        "2026-11-23 02:00:04Z",
        "2026-11-23T02:00:04.5Z",
    ):
        yield {**copy.deepcopy(value), "backup_date": date}
    for key in ("version", "database"):
        for bad_value in wrong:
            yield {**copy.deepcopy(value), "nuxeo": {**value["nuxeo"], key: bad_value}}


def test_our_validation_is_that_of_jsonschema(place: Place) -> None:
    theirs = jsonschema.Draft202012Validator(schema.SCHEMA)
    manifest = make(place)["manifest"]
    assert theirs.is_valid(manifest) and schema.problems(manifest) == []
    count = 0
    for value in mutations(manifest):
        text = json.dumps(value)
        if "1.0" in text or "\\n" in text:  # JSON has one kind of number; Python's $ takes a line's end too
            continue
        count += 1
        assert theirs.is_valid(value) == (schema.problems(value) == []), value
    assert count > 200
    assert schema.problems({**manifest, "backup_date": manifest["backup_date"] + "\n"})
    for text in ("null", "[]", '"x"', "1"):
        assert schema.problems(json.loads(text)) == ["manifest is not of type object"]


def test_leftovers_that_cannot_be_removed_are_left_to_the_next_run(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = begin(place, {}, timeout=900)["run_id"]
    monkeypatch.setattr(begin_file.shutil, "rmtree", lambda *_, **__: None)
    assert abandon(place, run_id, "", "", False)
    assert len(os.listdir(place.sets)) == 1
    monkeypatch.undo()
    assert begin(place, {}, timeout=900)["leftovers"] == 1
