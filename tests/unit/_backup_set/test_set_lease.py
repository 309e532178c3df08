# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease: one run at a time, and a killed one is in nobody's way."""

from __future__ import annotations

import json
import multiprocessing
import os
import pathlib
import stat
import subprocess
import time
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import begin as begin_file
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import controller, lease
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.begin import (
    abandon,
    begin,
    begin_here,
    end_turn,
    is_turn_taken,
    join,
    take_turn,
)
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.listing import list_sets
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.place import Place, SetError, Target
from ansible_collections.nuxeo.platform.plugins.module_utils._conf import guard
from ansible_collections.nuxeo.platform.tests.unit._backup_set.sets import grow_old, partials, start

HERE = {"backup_root": None, "instance": None}
FORK = multiprocessing.get_context("fork")


def test_begin_makes_owner_only_folders_whatever_the_umask(place: Place) -> None:
    old = os.umask(0)
    try:
        begun = start(place)
    finally:
        os.umask(old)
    modes = {stat.S_IMODE(p.lstat().st_mode) for p in pathlib.Path(place.root).rglob("*") if p.is_dir()}
    assert modes == {0o700}
    assert stat.S_IMODE(os.stat(place.lease).st_mode) == 0o600
    found = json.loads(pathlib.Path(place.lease).read_text())
    assert found == begun["lease"] and found["run_id"] == begun["run_id"] and found["controller"]["pid"] == os.getpid()
    assert sorted(os.listdir(begun["partial"])) == ["blobs", "conf", "database", "files"]
    assert sorted(os.listdir(place.folder)) == [".lock", "lease.json", "sets"]


def test_the_second_run_is_told_who_holds_the_place(place: Place) -> None:
    first = start(place)
    with pytest.raises(SetError) as caught:
        start(place)
    who = first["lease"]["controller"]
    text = str(caught.value)
    assert text.startswith(
        f"Begin of a backup of 'acme' in '{place.root}': run {first['run_id']} of user '{who['user']}'"
    )
    assert f"on '{who['host']}' (process {os.getpid()}) is on since {first['lease']['started']}" in text
    assert caught.value.result["holder"]["run_id"] == first["run_id"]
    assert partials(place) == [f".partial-{first['run_id']}"]


def test_restores_take_turns_in_the_data_folder(tmp_path: pathlib.Path) -> None:
    data_dir = tmp_path / "absent" / "data"
    options = {"node": "n1", "controller": controller.identity(os.getpid()), "lease_timeout": 900, "gone": [], **HERE}
    assert take_turn(str(data_dir), options, check=True)["took_over"] is None
    assert not data_dir.exists()
    assert not is_turn_taken(str(data_dir))
    first = take_turn(str(data_dir), options, check=False)
    pathlib.Path(first["progress"]).write_text("{}")
    for check in (True, False):
        with pytest.raises(SetError, match=f"Begin of a restore into '{data_dir}': run {first['run_id']} of user"):
            take_turn(str(data_dir), options, check)
    assert is_turn_taken(str(data_dir))
    second = take_turn(str(data_dir), {**options, "gone": [first["run_id"]]}, check=False)
    assert second["took_over"]["run_id"] == first["run_id"]
    assert not pathlib.Path(first["progress"]).parent.exists(), "what still writes for the killed one notices"
    assert end_turn(str(data_dir), first["run_id"], check=False) is False
    assert end_turn(str(data_dir), second["run_id"], check=True) is False
    assert end_turn(str(data_dir), second["run_id"], check=False) is True
    assert not is_turn_taken(str(data_dir))
    assert {path.name for path in data_dir.iterdir()} == {".nuxeo-platform-run"}


@pytest.mark.parametrize("link", [".nuxeo-platform-run", ".nuxeo-platform-run/sets"])
def test_no_link_in_a_data_folder_is_followed(tmp_path: pathlib.Path, link: str) -> None:
    """Nuxeo's user may make one there, and the restore may be root's."""
    precious, place = tmp_path / "precious", tmp_path / "data" / link
    for folder in (precious, place.parent):
        folder.mkdir(parents=True)
    precious.chmod(0o755)
    place.symlink_to(precious)
    options = {"node": "n1", "controller": controller.identity(os.getpid()), "lease_timeout": 900, "gone": [], **HERE}
    with pytest.raises(SetError, match=f"Use of '{place}': it is not a folder"):
        take_turn(str(tmp_path / "data"), options, check=False)
    assert (stat.S_IMODE(precious.stat().st_mode), list(precious.iterdir())) == (0o755, [])


def test_backup_and_restore_of_an_instance_see_each_other(place: Place, tmp_path: pathlib.Path) -> None:
    data_dir = str(tmp_path / "data")
    who = {"node": "n1", "controller": controller.identity(os.getpid()), "lease_timeout": 20, "gone": []}
    restore = {**who, "backup_root": place.root, "instance": place.instance}
    backup = {**who, "forbidden": [data_dir], "required_bytes": 0, "require_mount": False}
    first = begin_here(place, backup, check=False)
    for check in (True, False):
        with pytest.raises(SetError, match=f"into '{data_dir}': a backup of 'acme' .*, run {first['run_id']} of user"):
            take_turn(data_dir, restore, check)
    assert not is_turn_taken(data_dir), "one that was refused has no place"
    take_turn(data_dir, {**restore, "backup_root": None}, check=False)
    with pytest.raises(SetError, match="is on since") as caught:
        begin_here(place, {**backup, "gone": [first["run_id"]]}, check=False)
    assert str(caught.value).startswith(f"Begin of a backup of 'acme' in '{place.root}': a restore into '{data_dir}', ")
    assert not os.path.exists(place.lease) and partials(place) == []
    turn = caught.value.result["holder"]["run_id"]
    assert begin_here(place, {**backup, "gone": [turn]}, check=True)["took_over"] is None
    grow_old(Target(data_dir), 21)
    again = begin_here(place, {**backup, "lease_timeout": 5}, check=False)
    grow_old(place, 10)
    with pytest.raises(SetError, match="for 20 s"):
        begin_here(place, {**backup, "gone": []}, check=False)
    assert take_turn(data_dir, restore, check=False)["took_over"]["run_id"] == turn  # by its own limit it is gone
    assert json.loads(pathlib.Path(place.lease).read_text())["run_id"] == again["run_id"]  # untouched


@pytest.mark.parametrize(("check", "nameless"), [(True, True), (False, True), (False, False)])
@pytest.mark.parametrize("ahead", [1200, -3600])
def test_a_look_goes_by_the_clock_of_the_file_system(
    place: Place, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, ahead: int, check: bool, nameless: bool
) -> None:
    """That of the node, which may be another, is as many seconds ahead of it. NFS knows no files without a name."""
    if not nameless:
        monkeypatch.setattr(lease.os, "O_TMPFILE", os.O_DIRECTORY | os.O_WRONLY)  # as a kernel that knows it not
    data_dir = str(tmp_path / "data")
    who: dict[str, t.Any] = {"node": "n1", "controller": None, "lease_timeout": 900, "gone": []}
    backup = {**who, "forbidden": [data_dir], "required_bytes": 0, "require_mount": False}
    restore = {**who, "backup_root": place.root, "instance": place.instance}
    real = time.time
    begin_here(place, backup, check=False)
    monkeypatch.setattr(lease.time, "time", lambda: real() + ahead)
    with pytest.raises(SetError, match="a backup of 'acme' .* is on since .*; its last sign of life is 0 s old"):
        take_turn(data_dir, restore, check)
    grow_old(place, 901 + ahead)
    turn = take_turn(data_dir, restore, check)
    assert check or is_turn_taken(data_dir)
    if not check:
        grow_old(Target(data_dir), 901 + ahead)
        assert not is_turn_taken(data_dir)
        assert take_turn(data_dir, restore, check=True)["took_over"]["run_id"] == turn["run_id"]


def test_a_restore_looks_into_a_root_that_is_read_only(
    mounted: t.Callable[..., pathlib.Path], tmp_path: pathlib.Path
) -> None:
    """As where its server was lost while a backup was on. Only the node's clock is left."""
    root = mounted("-t", "tmpfs", "tmpfs")
    place = Place(str(root), "acme")
    start(place)
    subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
    who: dict[str, t.Any] = {"node": "n1", "controller": None, "lease_timeout": 900, "gone": []}
    restore = {**who, "backup_root": place.root, "instance": place.instance}
    with pytest.raises(SetError, match="is on since"):
        take_turn(str(tmp_path / "data"), restore, check=False)
    subprocess.run(["mount", "-o", "remount,rw", str(root)], check=True)
    grow_old(place, 901)
    subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
    take_turn(str(tmp_path / "data"), restore, check=False)


def test_a_restore_that_another_node_leads_is_known_by_its_guard(place: Place, tmp_path: pathlib.Path) -> None:
    """Two nodes with a data folder each: the lease of the restore is in that of its leader, its guard on both."""
    led, other, conf = tmp_path / "n1" / "data", tmp_path / "n2" / "data", tmp_path / "n2" / "nuxeo.conf"
    conf.parent.mkdir()
    conf.write_text("nuxeo.db.name=acme\n")
    who = {"node": "n1", "controller": controller.identity(os.getpid()), "lease_timeout": 20, "gone": []}
    restore = {**who, "backup_root": place.root, "instance": place.instance}
    backup = {**who, "forbidden": [str(other)], "required_bytes": 0, "require_mount": False, "nuxeo_conf": str(conf)}
    turn = take_turn(str(led), restore, check=False)
    late = begin_here(place, backup, check=False)  # between the lease of the restore and its guard
    conf.write_bytes(guard.armed(conf.read_bytes(), "20261123T020004Z", turn["who"]))
    again = {**restore, "gone": [turn["run_id"]]}
    with pytest.raises(SetError, match=f"a backup of 'acme' .*, run {late['run_id']} of user"):
        take_turn(str(led), again, check=True)
    abandon(place, late["run_id"], "", "", check=False)
    assert take_turn(str(led), again, check=True)["took_over"]["run_id"] == turn["run_id"], "its own"
    told = f"onto '{conf}' has begun by run {turn['run_id']} of user '.*' on '.*' .process {os.getpid()}. at 2"
    for check in (True, False):
        with pytest.raises(SetError, match=told):
            begin_here(place, backup, check)
    assert not os.path.exists(place.lease) and partials(place) == [], "one that was refused has no place"
    begun = begin_here(place, {**backup, "nuxeo_conf": None}, check=False)
    with pytest.raises(SetError, match=told):
        join(place, {**backup, "run_id": begun["run_id"]})
    with pytest.raises(SetError, match=f"a restore into '{led}', run {turn['run_id']} of user"):
        join(place, {**backup, "forbidden": [str(led)], "run_id": begun["run_id"]})
    conf.write_bytes(guard.disarmed(conf.read_bytes()))
    join(place, {**backup, "run_id": begun["run_id"]})


def test_check_mode_says_the_same_and_changes_nothing(place: Place) -> None:
    assert begin(place, {}, timeout=900, check=True)["took_over"] is None
    assert os.listdir(place.root) == []
    start(place)
    before = {str(path): path.stat().st_mtime_ns for path in pathlib.Path(place.root).rglob("*")}
    with pytest.raises(SetError, match="is on since"):
        begin(place, {}, timeout=900, check=True)
    assert {str(path): path.stat().st_mtime_ns for path in pathlib.Path(place.root).rglob("*")} == before


def test_a_holder_known_to_be_gone_is_replaced_at_once(place: Place) -> None:
    first = start(place)
    (pathlib.Path(first["partial"]) / "database/half").write_text("x")
    with pytest.raises(SetError):
        start(place, gone=["another"])
    second = start(place, gone=[first["run_id"]])
    assert second["took_over"]["run_id"] == first["run_id"]
    assert partials(place) == [f".partial-{second['run_id']}"]
    assert json.loads(pathlib.Path(place.failed).read_text())["run_id"] == first["run_id"]
    assert json.loads(pathlib.Path(place.lease).read_text())["run_id"] == second["run_id"]


def test_a_holder_without_sign_of_life_is_replaced(place: Place) -> None:
    first = start(place)
    grow_old(place, 1000)
    progress = pathlib.Path(first["progress"])
    progress.write_text("{}")
    with pytest.raises(SetError, match="last sign of life is 0 s old"):
        start(place)
    other = progress.with_name("progress-n2.json")
    other.write_text("{}")
    grow_old(place, 1000)
    os.utime(other)
    with pytest.raises(SetError):
        start(place)
    grow_old(place, 890)
    with pytest.raises(SetError, match="last sign of life is 89"):
        start(place)
    grow_old(place, 910)
    assert start(place)["took_over"]["run_id"] == first["run_id"]


def test_a_holder_that_the_controller_sees_may_be_silent(place: Place) -> None:
    """As one does that waits for another instance of its play."""
    here = controller.identity(os.getpid())
    holder = {"controller": {**here, "pid": 1}}
    first = begin(place, holder, timeout=20)
    grow_old(place, 21)
    for check in (True, False):
        with pytest.raises(SetError, match="or end that process") as caught:
            begin(place, {}, timeout=20, asking=here, check=check)
        assert caught.value.result["holder"]["quiet"] is True
    for asking in (holder["controller"], {**here, "host": "another"}, None):  # an earlier play; who cannot see it
        assert begin(place, {}, timeout=20, asking=asking, check=True)["took_over"]["run_id"] == first["run_id"]
    begin(place, {}, timeout=20, asking=here, gone=[first["run_id"]])


def test_a_sign_of_life_from_the_future_grows_old_from_now_on(place: Place) -> None:
    """A clock was set back after the holder died: its files are newer than now."""
    first = start(place)
    grow_old(place, -86400)
    with pytest.raises(SetError, match="is 0 s old"):
        start(place)
    assert max(os.stat(p).st_mtime for p in [place.lease, first["partial"]]) <= time.time() + 1
    grow_old(place, 901)
    start(place)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"run_id"', "\0" * 100, '{"run_id": "a/../../../b"}'])
def test_a_lease_that_cannot_be_read_goes_by_its_age(place: Place, content: str) -> None:
    first = start(place)
    pathlib.Path(place.lease).write_text(content)
    with pytest.raises(SetError, match="run unknown"):
        start(place)
    grow_old(place, 901)
    second = start(place)
    assert partials(place) == [f".partial-{second['run_id']}"] and second["run_id"] != first["run_id"]


def attempt(place: Place, gone: t.Sequence[str], gate: t.Any, results: t.Any) -> None:
    gate.wait()
    try:
        results.put(start(place, gone=gone)["run_id"])
    except SetError:
        results.put(None)
    except BaseException as error:
        results.put(repr(error))  # counts as one too many


@pytest.mark.parametrize("how", ["free", "gone", "old"])
def test_of_eight_that_begin_at_once_one_wins(place: Place, how: str) -> None:
    for dummy in range(15):
        gone: t.Sequence[str] = ()
        if how != "free":
            gone = [start(place)["run_id"]]
        if how == "old":
            grow_old(place, 1000)
        gate, results = FORK.Barrier(8), FORK.SimpleQueue()
        runs = [
            FORK.Process(target=attempt, args=(place, gone if how == "gone" else (), gate, results))
            for dummy in range(8)
        ]
        for run in runs:
            run.start()
        winners = [winner for winner in (results.get() for dummy in runs) if winner]
        for run in runs:
            run.join()
        assert len(winners) == 1
        assert json.loads(pathlib.Path(place.lease).read_text())["run_id"] == winners[0]
        assert partials(place) == [f".partial-{winners[0]}"]
        assert abandon(place, winners[0], "", "", False)
        assert partials(place) == [] and not os.path.exists(place.lease)


def test_where_locks_do_not_reach_the_other_host_one_of_two_wins(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    first = start(place)
    monkeypatch.setattr(begin_file, "read", lambda *_, **__: None)  # it looked just before the other wrote
    with pytest.raises(SetError, match="another run began at the same moment"):
        start(place)
    assert json.loads(pathlib.Path(place.lease).read_text())["run_id"] == first["run_id"]
    assert not [name for name in os.listdir(place.folder) if name.startswith("lease.json.")]


def test_what_still_writes_for_a_replaced_run_cannot_reach_the_new_one(place: Place) -> None:
    first = start(place)
    second = start(place, gone=[first["run_id"]])
    with pytest.raises(FileNotFoundError):
        pathlib.Path(first["partial"], "database", "late").touch()
    assert not abandon(place, first["run_id"], "", "late", False)
    assert json.loads(pathlib.Path(place.lease).read_text())["run_id"] == second["run_id"]
    assert os.listdir(os.path.join(second["partial"], "database")) == []


def test_abandon_leaves_a_word_and_nothing_else(place: Place) -> None:
    first = start(place)
    assert abandon(place, first["run_id"], "dump", "No space left on device", True)
    assert os.path.exists(first["partial"])
    assert abandon(place, first["run_id"], "dump", "x" * 5000, False)
    assert sorted(os.listdir(place.folder)) == [".lock", "failed.json", "sets"] and partials(place) == []
    failed = json.loads(pathlib.Path(place.failed).read_text())
    assert (failed["step"], failed["error"], failed["run_id"]) == ("dump", "x" * 2000, first["run_id"])
    assert not abandon(place, first["run_id"], "dump", "", False)
    assert not abandon(Place(place.root, "other"), first["run_id"], "", "", False)


def test_a_lock_that_another_holds_is_waited_for(place: Place) -> None:
    os.makedirs(place.sets)
    argv = ["flock", place.lock, "sh", "-c", "echo; sleep 0.5"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as other:
        assert other.stdout and other.stdout.readline()
        with pytest.raises(SetError, match="another process has it since 0 s"), lease.locked(place, 0.1):
            pass
        assert not os.path.exists(place.lease)
        start(place)
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as other:
        assert other.stdout and other.stdout.readline()
        other.kill()  # sh still has it
        before = time.monotonic()
        with lease.locked(place):
            assert time.monotonic() - before > 0.2


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "-rf", "a/b", "a b", "../x", "x\n", "a" * 300])
def test_an_instance_is_a_plain_name(tmp_path: pathlib.Path, name: str) -> None:
    with pytest.raises(SetError, match="the name of an instance"):
        Place(str(tmp_path), name)


def test_the_list_tells_how_far_a_run_is(place: Place) -> None:
    assert list_sets(place, None, 10)["lease"] is None
    begun = start(place)
    assert list_sets(place, None, 10)["lease"]["progress"] is None
    for number, phase in enumerate(("dump", "blobs default")):
        path = pathlib.Path(begun["partial"], f"progress-{number}.json")
        path.write_text(json.dumps({"phase": phase, "done": number}))
        os.utime(path, (number, number))
    path.with_name("progress-9.json").write_text("{ torn")
    path.with_name("progress-cut.json").write_text('{"taken": "2026-11-23T02:00:00Z"}')
    found = list_sets(place, None, 10)["lease"]
    assert (found["run_id"], found["progress"]) == (begun["run_id"], {"phase": "blobs default", "done": 1})
