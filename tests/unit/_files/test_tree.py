# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree and its way back, compared with what find, sha256sum and du say."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.folders import owner_problems
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import PlatformError
from ansible_collections.nuxeo.platform.plugins.module_utils._files import at, blocks, look, tree
from ansible_collections.nuxeo.platform.plugins.module_utils._files import place as files
from ansible_collections.nuxeo.platform.plugins.module_utils._progress import Progress


def run(*argv: str | bytes, cwd: object = ".") -> str:
    return subprocess.run(argv, cwd=str(cwd), check=True, capture_output=True).stdout.decode("utf-8", "surrogateescape")


def listing(folder: pathlib.Path) -> list[str]:
    """Names, types, modes, owners, times, targets and bytes, by other means than ours."""
    found = run("find", ".", "-printf", r"%P %y %m %U %G %T@ %l\0", cwd=folder).split("\0")
    sums = run("find", ".", "-type", "f", "-exec", "sha256sum", "{}", "+", cwd=folder)
    return sorted(found) + sorted(sums.splitlines())


@pytest.fixture
def data(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "data"
    (folder / "stream/bulk-default/P-00").mkdir(parents=True)
    (folder / "binaries/data/ab").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "instance.clid").write_bytes(b"secret")
    (folder / "instance.clid").chmod(0o640)
    (folder / "binaries/config.xml").write_text("<x/>")
    (folder / "binaries/data/ab/abcd").write_text("blob")
    (folder / "zero").touch(0o400)
    with open(folder / "stream/bulk-default/P-00/20261123.cq4", "wb") as stream:
        stream.truncate(1 << 26)
        stream.seek(1 << 20)
        stream.write(b"records")
        stream.seek(1 << 25)
        stream.write(b"more")
    (folder / "link").symlink_to("instance.clid")
    (folder / "dangling").symlink_to("/nowhere/at/all")
    (folder / "stream").chmod(0o2750)
    for name in (b"new\nline", b"back\\slash", b"caf\xe9", "héé".encode(), b"%41", b" trailing ", b"-rf", b"$(x)`'\""):
        with open(os.fsencode(folder) + b"/" + name, "wb") as stream:
            stream.write(name)
    os.utime(folder / "instance.clid", ns=(1, 1_600_000_000_123_456_789))
    os.utime(folder / "stream", ns=(1, 1_500_000_000_000_000_001))
    return folder


def test_there_and_back_is_the_same(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    before = listing(data)
    old = os.umask(0)
    try:
        result = tree.copy_tree(str(data), str(tmp_path / "copy"))
        tree.write_tree_list(str(tmp_path / "tree.jsonl"), result.entries)
        back = tree.restore_tree(str(tmp_path / "tree.jsonl"), str(tmp_path / "copy"), str(tmp_path / "back"))
    finally:
        os.umask(old)
    assert listing(tmp_path / "back") == before
    assert (result.files, result.vanished, result.torn, result.specials) == (13, 0, 0, 0)
    assert (
        result.bytes
        == back.bytes
        == sum(int(n) for n in run("find", ".", "-type", "f", "-printf", "%s ", cwd=data).split())
    )
    modes = set(run("find", "copy", "-not", "-type", "l", "-printf", "%y%m\n", cwd=tmp_path).split())
    assert modes == {"f600", "d700"}


def test_a_second_way_back_changes_nothing(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    result = tree.copy_tree(str(data), str(tmp_path / "copy"))
    listed = str(tmp_path / "tree.jsonl")
    tree.write_tree_list(listed, result.entries)
    predicted = tree.restore_tree(listed, str(tmp_path / "copy"), str(tmp_path / "back"), check=True)
    assert not (tmp_path / "back").exists()
    first = tree.restore_tree(listed, str(tmp_path / "copy"), str(tmp_path / "back"))
    assert predicted.changed and first.changed >= predicted.changed
    state = run("find", "back", "-printf", "%P %i %C@\n", cwd=tmp_path)
    assert tree.restore_tree(listed, str(tmp_path / "copy"), str(tmp_path / "back")).changed == 0
    assert run("find", "back", "-type", "f", "-printf", "%i\n", cwd=tmp_path)
    again = run("find", "back", "-not", "-type", "d", "-printf", "%P %i %C@\n", cwd=tmp_path)
    assert set(again.splitlines()) <= set(state.splitlines())
    (tmp_path / "back/instance.clid").write_bytes(b"sEcret")
    (tmp_path / "back/zero").chmod(0o644)
    assert tree.restore_tree(listed, str(tmp_path / "copy"), str(tmp_path / "back"), check=True).changed == 2
    assert (tmp_path / "back/instance.clid").read_bytes() == b"sEcret"
    assert tree.restore_tree(listed, str(tmp_path / "copy"), str(tmp_path / "back")).changed == 2
    assert listing(tmp_path / "back") == listing(data)


def test_holes_stay_holes(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    result = tree.copy_tree(str(data), str(tmp_path / "copy"))
    tree.write_tree_list(str(tmp_path / "tree.jsonl"), result.entries)
    tree.restore_tree(str(tmp_path / "tree.jsonl"), str(tmp_path / "copy"), str(tmp_path / "back"))
    for folder in ("copy", "back"):
        name = str(tmp_path / folder / "stream/bulk-default/P-00/20261123.cq4")
        assert int(run("du", "-k", name, cwd=tmp_path).split()[0]) < 100
        assert run("stat", "-c", "%s", name, cwd=tmp_path).strip() == str(1 << 26)


def test_exclusions(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    tree.copy_tree(str(data), str(tmp_path / "copy"), ["binaries/data", "stream/**/P-*/", "*\n*", "empty", "ca?[!a-z]"])
    found = run("find", ".", "-printf", "%P\\0", cwd=tmp_path / "copy").split("\0")
    assert "binaries/config.xml" in found and "binaries/data" not in found
    assert "stream/bulk-default" in found and "stream/bulk-default/P-00" not in found
    assert "new\nline" not in found and "caf\udce9" not in found and "empty" not in found and "zero" in found


def test_special_files_are_counted_not_copied(tmp_path: pathlib.Path) -> None:
    (tmp_path / "data").mkdir()
    os.mkfifo(tmp_path / "data/fifo")
    with socket.socket(socket.AF_UNIX) as lock:
        lock.bind(os.fsencode(tmp_path / "data") + b"/caf\xe9")
        result = tree.copy_tree(str(tmp_path / "data"), str(tmp_path / "copy"))
    assert (result.specials, os.listdir(tmp_path / "copy")) == (2, [])
    assert files.summary(result)["special"] == ["caf\\udce9", "fifo"]


def test_links_that_lead_out_are_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "data/in").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "data/inside").symlink_to("in")
    (tmp_path / "data/stream").symlink_to("../other")
    (tmp_path / "other/big").touch()
    (tmp_path / "data/in/nowhere").symlink_to("/nowhere/at/all")
    result = tree.copy_tree(str(tmp_path / "data"), str(tmp_path / "copy"))
    assert (result.outsides, result.outside) == (1, ["stream"])
    assert look.obstacles(str(tmp_path / "data"), []) == (["stream"], [], [])
    assert look.obstacles(str(tmp_path / "data"), ["stream"]) == ([], [], [])
    assert os.readlink(tmp_path / "copy/stream") == "../other"


def test_a_growing_file_is_copied_as_read(tmp_path: pathlib.Path) -> None:
    (tmp_path / "data").mkdir()
    name = tmp_path / "data/hot.log"
    name.write_bytes(b"x" * (1 << 24))
    stop = threading.Event()

    def grow() -> None:
        with open(name, "ab", buffering=0) as stream:
            while not stop.is_set():
                stream.write(b"y" * 65536)

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        result = tree.copy_tree(str(tmp_path / "data"), str(tmp_path / "copy"))
    finally:
        stop.set()
        thread.join()
    entry = result.entries[1]
    assert result.torn == 1
    assert entry.size == (tmp_path / "copy/hot.log").stat().st_size >= 1 << 24
    assert run("sha256sum", "hot.log", cwd=tmp_path / "copy").split()[0] == entry.sha256


def test_a_file_that_shrinks_while_read_is_as_long_as_what_was_read(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * (3 << 20))
    with open(tmp_path / "a", "r+b") as one, open(tmp_path / "b", "w+b") as other:
        told: list[int] = []

        def cut(count: int) -> None:
            told.append(count)
            one.truncate(blocks.BLOCK + 10)

        size, digest = blocks.copy_bytes(one.fileno(), other.fileno(), 3 << 20, cut)
    assert size == (tmp_path / "b").stat().st_size == blocks.BLOCK + 10
    assert run("sha256sum", "b", cwd=tmp_path).split()[0] == digest


def test_unreadable_is_an_error_that_names_it(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (data / "zero").chmod(0)
    (data / "stream").chmod(0)
    for folder in (data, tmp_path, *tmp_path.parents):
        if os.geteuid() == 0 and folder.stat().st_mode & 0o005 != 0o005:  # pytest's own, how many depends on xdist
            assert str(folder).startswith(f"{tempfile.gettempdir()}/"), folder
            folder.chmod(0o755)
    copy = tmp_path / "copy"
    copy.mkdir()
    os.chown(copy, 65534 if os.geteuid() == 0 else -1, -1)
    user = os.geteuid()
    os.seteuid(65534 if user == 0 else user)
    try:
        with pytest.raises(
            tree.FilesError, match=rf"^Copy of '{data}' to '{copy}': Permission denied \(at '{data}/[^']*zero'\)\.$"
        ):
            tree.copy_tree(str(data), str(copy), exclude=["instance.clid", "stream"])
        assert look.obstacles(str(data), ["instance.clid"]).closed == ["stream", "zero"]
        assert look.obstacles(str(data), ["instance.clid", "stream", "*zero"]).closed == []
    finally:
        os.seteuid(user)


def test_a_copy_into_itself_or_onto_something_is_refused(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "alias").symlink_to(data)
    for dest in (data, data / "new", tmp_path / "alias/new"):
        with pytest.raises(tree.FilesError, match="inside what it copies"):
            tree.copy_tree(str(data), str(dest))
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    with pytest.raises(tree.FilesError, match="not empty"):
        tree.copy_tree(str(data), str(tmp_path / "full"))


def test_the_way_back_never_goes_through_a_link(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    result = tree.copy_tree(str(data), str(tmp_path / "copy"))
    listed = str(tmp_path / "tree.jsonl")
    tree.write_tree_list(listed, result.entries)
    (tmp_path / "back").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "back/stream").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "back/zero").symlink_to(tmp_path / "precious")
    with pytest.raises(tree.FilesError, match="/back/stream'"):
        tree.restore_tree(listed, str(tmp_path / "copy"), str(tmp_path / "back"))
    os.unlink(tmp_path / "back/stream")
    tree.restore_tree(listed, str(tmp_path / "copy"), str(tmp_path / "back"))
    assert os.listdir(tmp_path / "elsewhere") == []
    assert (tmp_path / "precious").read_text() == "precious" and not (tmp_path / "back/zero").is_symlink()


def test_a_list_without_its_folders_does_not_lead_through_a_link_either(
    data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    result = tree.copy_tree(str(data), str(tmp_path / "copy"))
    listed = str(tmp_path / "tree.jsonl")
    tree.write_tree_list(listed, [entry for entry in result.entries if entry.type == "file"])
    for folder in ("elsewhere/data/ab", "elsewhere/bulk-default/P-00", "back"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("stream", "binaries"):
        (tmp_path / "back" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(tree.FilesError, match="Not a directory|Too many levels"):
        tree.restore_tree(listed, str(tmp_path / "copy"), str(tmp_path / "back"))
    assert not [path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()]


@pytest.mark.parametrize("link", ["binaries", "volume"])
def test_the_way_back_goes_through_a_link_to_a_store_that_stays(link: str, tmp_path: pathlib.Path) -> None:
    source, back, store = tmp_path / "data", tmp_path / "back", tmp_path / "elsewhere"
    names = {"binaries": "binaries", "volume": "volume/binaries"}
    (source / names[link]).mkdir(parents=True)
    (source / names[link] / "config.xml").write_text("of the set")
    copy, progress = str(tmp_path / "copy"), Progress(None, "files")
    options: dict[str, t.Any] = {"src": str(source), "dest": copy, "tree_list": None, "exclude": [], "state": "copied"}
    files.copied({**options, "outside_links": "refuse"}, progress, False)
    back.mkdir()
    (store / os.path.relpath(names[link], link) / "data").mkdir(parents=True)
    (back / link).symlink_to(store)
    options = {"src": copy, "dest": str(back), "tree_list": None, "state": "restored"}
    options.update(existing="merge", owner=None, group=None, keep=[])
    with pytest.raises(tree.FilesError, match=f"/back/{link}'"):
        files.restored(options, progress, False)
    options["keep"] = ["/mnt/other", str(back / names[link])]
    assert files.restored(options, progress, False)["changed"]
    assert (back / link).is_symlink() and (back / names[link] / "data").is_dir()
    assert (store / os.path.relpath(names[link], link) / "config.xml").read_text() == "of the set"
    assert not files.restored(options, progress, False)["changed"]


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a//b", "", "a/./b", "a\0b", ".."])
def test_a_list_that_leads_out_is_refused(path: str, tmp_path: pathlib.Path) -> None:
    line = {"path": path, "type": "dir", "mode": "0700", "owner": "root", "group": "root", "mtime_ns": 0, "size": 0}
    (tmp_path / "tree.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(tree.FilesError, match="line 1 is no entry"):
        tree.restore_tree(str(tmp_path / "tree.jsonl"), str(tmp_path), str(tmp_path / "back"))
    assert not (tmp_path / "back").exists()


def test_damage_of_the_copy_is_found_before_it_is_put_back(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    result = tree.copy_tree(str(data), str(tmp_path / "copy"))
    listed = str(tmp_path / "tree.jsonl")
    tree.write_tree_list(listed, result.entries)
    (tmp_path / "copy/instance.clid").write_bytes(b"sEcret")
    with pytest.raises(tree.FilesError, match="instance.clid.*the list says 6 and 2bb80d"):
        tree.restore_tree(listed, str(tmp_path / "copy"), str(tmp_path / "back"))
    assert not (tmp_path / "back/instance.clid").exists()


def test_names_are_exact_in_the_list(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    result = tree.copy_tree(str(data), str(tmp_path / "copy"))
    tree.write_tree_list(str(tmp_path / "tree.jsonl"), result.entries)
    assert tree.read_tree_list(str(tmp_path / "tree.jsonl")) == result.entries
    lines = [json.loads(line) for line in (tmp_path / "tree.jsonl").read_text("ascii").splitlines()]
    odd = [line for line in lines if "path_base64" in line]
    assert [(line["path"], line["path_base64"]) for line in odd] == [("caf\N{REPLACEMENT CHARACTER}", "Y2Fm6Q==")]
    assert {"héé", "new\nline"} <= {line["path"] for line in lines}
    assert stat.S_IMODE((tmp_path / "tree.jsonl").stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="owners can only be set by root; the other branch is tested below")
def test_owners_by_name_or_given(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    os.chown(data / "zero", at.user_id("daemon"), at.group_id("games"))
    os.chown(data / "instance.clid", 54321, 54322)
    os.chown(data / "link", at.user_id("daemon"), 54322, follow_symlinks=False)
    result = tree.copy_tree(str(data), str(tmp_path / "copy"))
    listed = str(tmp_path / "tree.jsonl")
    tree.write_tree_list(listed, result.entries)
    tree.restore_tree(listed, str(tmp_path / "copy"), str(tmp_path / "back"))
    assert listing(tmp_path / "back") == listing(data)
    tree.restore_tree(listed, str(tmp_path / "copy"), str(tmp_path / "given"), owner="daemon", group="games")
    assert set(run("find", "given", "-printf", "%u:%g\n", cwd=tmp_path).split()) == {"daemon:games"}
    text = (tmp_path / "tree.jsonl").read_text().replace('"daemon"', '"no-such-user"')
    (tmp_path / "tree.jsonl").write_text(text)
    for check in (True, False):
        with pytest.raises(tree.FilesError, match="no user 'no-such-user'.* by restore_owner"):
            tree.restore_tree(listed, str(tmp_path / "copy"), str(tmp_path / "third"), check=check)
    assert not (tmp_path / "third").exists()
    (tmp_path / "files").mkdir()
    (tmp_path / "tree.jsonl").rename(tmp_path / "files/tree.jsonl")
    (unknown,) = owner_problems(str(tmp_path), "", [{"name": "tree"}], None, "games")
    assert "no user 'no-such-user' on this host. Make them, or name others by restore_owner" in unknown
    (unknown,) = owner_problems(str(tmp_path), "", [{"name": "tree"}], "daemon", "no-such-group")
    assert "no group 'no-such-group' on this host" in unknown


def test_progress_is_told_and_stops_the_copy(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "partial").mkdir()
    with Progress(str(tmp_path / "partial/progress.json"), "files") as progress:
        result = tree.copy_tree(str(data), str(tmp_path / "copy"), progress=progress)
        assert progress.state["done"] == result.bytes
        progress.error = OSError(2, "No such file or directory")
        with pytest.raises(Exception, match="another run has taken"):
            tree.copy_tree(str(data), str(tmp_path / "copy2"), progress=progress)
        progress.error = None


def test_nothing_is_put_back_after_the_place_was_taken(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    tree.write_tree_list(str(tmp_path / "list"), tree.copy_tree(str(data), str(tmp_path / "copy")).entries)
    (tmp_path / "partial").mkdir()
    (tmp_path / "back").mkdir()
    with (
        pytest.raises(PlatformError, match="another run has taken"),
        Progress(str(tmp_path / "partial/progress.json"), "files", interval=60) as progress,
    ):
        (tmp_path / "partial").rename(tmp_path / "abandoned")
        tree.restore_tree(str(tmp_path / "list"), str(tmp_path / "copy"), str(tmp_path / "back"), progress=progress)
    assert not list((tmp_path / "back").iterdir())


def test_one_file(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "conf").mkdir()
    entry = tree.copy_file(str(data / "link"), str(tmp_path / "conf/clid"))
    assert (entry.path, entry.size, (tmp_path / "conf/clid").read_bytes()) == ("clid", 6, b"secret")
    with pytest.raises(tree.FilesError, match="not a regular file"):
        tree.copy_file("/dev/null", str(tmp_path / "conf/null"))
    with pytest.raises(tree.FilesError, match="File exists"):
        tree.copy_file(str(data / "zero"), str(tmp_path / "conf/clid"))


def test_a_way_back_that_is_killed_at_any_step_is_finished_by_the_next(tmp_path: pathlib.Path) -> None:
    (tmp_path / "data/b").mkdir(parents=True)
    (tmp_path / "data/a").write_text("a")
    (tmp_path / "data/b/c").write_text("c")
    (tmp_path / "data/l").symlink_to("a")
    (tmp_path / "data/b").chmod(0o555)
    result = tree.copy_tree(str(tmp_path / "data"), str(tmp_path / "copy"))
    listed, back = str(tmp_path / "tree.jsonl"), tmp_path / "back"
    tree.write_tree_list(listed, result.entries)
    number, killed = 0, True
    while killed:
        number += 1
        (back / "b").mkdir(parents=True)
        (back / "a").write_text("old")
        child = os.fork()
        if child == 0:
            killed_at(number)
            tree.restore_tree(listed, str(tmp_path / "copy"), str(back))
            os._exit(0)
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        assert (back / "a").read_text() in ("old", "a")
        tree.restore_tree(listed, str(tmp_path / "copy"), str(back))
        assert listing(back) == listing(tmp_path / "data")
        run("chmod", "-R", "u+w", str(back))
        run("rm", "-r", str(back))
    assert number > 20


def killed_at(number: int) -> None:
    """Make this process kill itself before its n-th change of the file system."""
    count = [0]

    def wrap(real: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        def call(*arguments: t.Any, **more: t.Any) -> t.Any:
            count[0] += 1
            if count[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **more)

        return call

    for name in [
        "open",
        "mkdir",
        "rename",
        "symlink",
        "unlink",
        "fsync",
        "fchmod",
        "fchown",
        "utime",
        "pwrite",
        "ftruncate",
    ]:
        setattr(os, name, wrap(getattr(os, name)))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk that is small enough to fill")
def test_a_full_disk_is_an_error_that_names_it(tmp_path: pathlib.Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "small").mkdir()
    (tmp_path / "data/a").write_bytes(b"a" * (3 << 20))
    result = tree.copy_tree(str(tmp_path / "data"), str(tmp_path / "copy"))
    tree.write_tree_list(str(tmp_path / "tree.jsonl"), result.entries)
    small = tmp_path / "small"
    run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small))
    told = f"No space left on device .*. Free space in the file system of '{small}/x', then run again"
    try:
        with pytest.raises(tree.FilesError, match=told):
            tree.copy_tree(str(tmp_path / "data"), str(small / "x"))
        run("rm", "-r", str(small / "x"))
        with pytest.raises(tree.FilesError, match=told):
            tree.restore_tree(str(tmp_path / "tree.jsonl"), str(tmp_path / "copy"), str(small / "x"))
        assert not (small / "x/a").exists()
    finally:
        run("umount", "-l", str(small))


def test_a_copy_that_fails_takes_no_room_and_nothing_of_others(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """On a full disk not even the end of the run finds room: Ansible has to lay a module down for that."""
    copy = tmp_path / "copy"
    options: dict[str, t.Any] = {"src": str(data), "dest": str(copy), "state": "copied", "tree_list": None}
    options.update(exclude=[], outside_links="refuse")
    (data / "zz").symlink_to(tmp_path)
    with pytest.raises(tree.FilesError, match="1 links lead out of it"):
        files.copied(options, Progress(None, "files"), False)
    assert not copy.exists()
    copy.mkdir()
    (copy / "theirs").touch()
    with pytest.raises(tree.FilesError, match="is not empty"):
        files.copied(options, Progress(None, "files"), False)
    assert (copy / "theirs").exists()


def test_a_mount_point_is_emptied_into_a_folder_of_its_own(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    copy, progress = str(tmp_path / "copy"), Progress(None, "files")
    options: dict[str, t.Any] = {"src": str(data), "dest": copy, "state": "copied", "tree_list": None, "exclude": []}
    files.copied({**options, "outside_links": "refuse"}, progress, False)
    back = tmp_path / "back"
    (back / "lost+found").mkdir(parents=True)
    (back / "old").write_text("old")
    options = {"src": copy, "dest": str(back), "state": "restored", "tree_list": None}
    options.update(existing="aside", owner=None, group=None, keep=[])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files.os, "rename", refuse_folder(str(back)))
        kept = files.restored(options, progress, False)["kept_aside"]
    assert os.path.dirname(kept) == str(back) and os.listdir(kept) == ["old"]
    assert (back / "lost+found").exists() and (back / "instance.clid").read_bytes() == b"secret"


def refuse_folder(folder: str) -> t.Callable[..., None]:
    """As rename does with a mount point."""
    real = os.rename

    def rename(one: str, other: str, **more: t.Any) -> None:
        if one == folder:
            raise OSError(16, "Device or resource busy")
        real(one, other, **more)

    return rename
