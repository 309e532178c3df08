# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease: one run at a time, and a killed one is in nobody's way."""

from __future__ import annotations

import contextlib
import functools
import itertools
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
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import controller, lease, watch
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

HERE = {"backup_root": None, "instance": None}
FORK = multiprocessing.get_context("fork")


def start(place: Place, timeout: float = 900, gone: t.Sequence[str] = ()) -> t.Dict[str, t.Any]:
    who = {"node": "n1", "controller": controller.identity(os.getpid())}
    return begin(place, who, timeout=timeout, gone=gone)


def grow_old(place: Place, seconds: float) -> None:
    """As if nothing had happened for some time."""
    then = time.time() - seconds
    for path in [place.lease, *pathlib.Path(place.sets).rglob("*")]:
        os.utime(path, (then, then))


def partials(place: Place) -> t.List[str]:
    return sorted(os.listdir(place.sets))


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


Watched = t.Callable[..., watch.Watch]


@pytest.fixture
def watched(place: Place, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """A watch over a run that has stopped a node; its clock goes a ``step`` further with each look.

    ``looks`` are what there is to be done between two looks; ``servers`` what each look finds running, at last nothing.
    """
    note = tmp_path / "stopped-n1"
    note.write_text("x")

    def make(
        run_id: str,
        servers: t.Sequence[t.List[str]] = (),
        looks: t.Sequence[t.Callable[[], object]] = (),
        step: float = 60,
        note: pathlib.Path = note,
        place: Place = place,
    ) -> watch.Watch:
        found, actions, clock = iter(servers), iter(looks), itertools.count(0.0, step)
        monkeypatch.setattr(watch.time, "monotonic", lambda: next(clock))
        monkeypatch.setattr(watch.time, "sleep", lambda _seconds: next(actions, lambda: None)())
        restored = functools.partial(is_turn_taken, str(tmp_path / "data"))
        return watch.Watch(place, str(note), run_id, 900, lambda: next(found, []), restored)

    return make


def holder(place: Place) -> str:
    return str(json.loads(pathlib.Path(place.lease).read_text())["run_id"])


def test_a_watch_ends_when_nothing_is_left_to_do(watched: Watched, place: Place) -> None:
    begun = start(place)
    assert watched("another").wait({}) is None, "the run that has the place now starts the node"
    one = watched(begun["run_id"])
    assert os.path.exists(one.note), "which that run needs to know"
    os.unlink(one.note)
    assert one.wait({}) is None, "it was started"
    assert json.loads(pathlib.Path(place.lease).read_text()) == begun["lease"]


@pytest.mark.parametrize("how", ["killed", "killed with its lease", "ended without a start"])
def test_a_watch_takes_the_place_of_a_run_that_is_gone(watched: Watched, place: Place, how: str) -> None:
    begun = start(place)
    if how == "killed with its lease":
        pathlib.Path(place.lease).write_text("{")
    if how != "ended without a start":
        grow_old(place, 901)
    else:
        abandon(place, begun["run_id"], "files", "no space left", check=False)
    one = watched(begun["run_id"], servers=[["not yet stopped"]])
    taken = one.wait({"node": "n1"})
    assert taken and holder(place) == taken
    with pytest.raises(SetError, match="is on since"):
        start(place)
    one.end(taken, started=True)
    assert not os.path.exists(one.note) and not os.path.exists(place.lease) and partials(place) == []
    assert "it was started again" in pathlib.Path(place.failed).read_text()


def test_each_node_of_an_instance_is_started_by_its_own_watch(watched: Watched, place: Place) -> None:
    begun = start(place)
    grow_old(place, 901)
    first = watched(begun["run_id"])
    taken = t.cast(str, first.wait({"node": "n1"}))
    second = watched(begun["run_id"], looks=[lambda: None, lambda: first.end(taken, started=False)], step=1)
    both = second.wait({"node": "n2"})
    assert both and both != taken and holder(place) == both


@pytest.mark.parametrize("how", ["full", "read-only", "away", "replaced"])
def test_a_watch_starts_the_server_though_the_backup_root_takes_nothing(
    watched: Watched, tmp_path: pathlib.Path, mounted: t.Callable[..., pathlib.Path], how: str
) -> None:
    root = mounted("-t", "tmpfs", "-o", "size=256k", "tmpfs")
    place = Place(str(root), "acme")
    begun = start(place)
    note = pathlib.Path(place.folder, "stopped-n1")
    note.write_text("x")
    grow_old(place, 901)
    one = watched(begun["run_id"], note=note, place=place)
    if how == "full":
        with contextlib.suppress(OSError), open(root / "rest", "wb", buffering=0) as rest:
            while True:
                rest.write(bytes(4096))
    elif how == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
    else:
        subprocess.run(["umount", str(root)], check=True)
        if how == "away":
            root.rmdir()
    assert one.wait({"node": "n1"}) == ""
    one.end("", started=True)
    assert how == "away" or sorted(os.listdir(root)) == {"full": ["acme", "rest"], "read-only": ["acme"]}.get(how, [])
    assert note.exists() == (how == "read-only")


def test_a_run_that_only_looks_old_keeps_its_place(watched: Watched, place: Place) -> None:
    """The clock was set forward, or the machine slept: the run writes its next sign of life in a moment."""
    begun = start(place)
    beat = pathlib.Path(begun["partial"], "progress.json")
    grow_old(place, 5000)
    one = watched(begun["run_id"], looks=[lambda: beat.write_text("{}"), lambda: os.unlink(one.note)], step=7)
    assert one.wait({"node": "n1"}) is None
    assert holder(place) == begun["run_id"]


def test_a_server_that_its_operator_has_started_and_stopped_stays_stopped(watched: Watched, place: Place) -> None:
    begun = start(place)
    grow_old(place, 901)
    one = watched(begun["run_id"], servers=[["it stops"], [], [], ["started by hand"]], step=1)
    assert one.wait({"node": "n1"}) is None
    assert not os.path.exists(one.note), "nor does the next backup start it"
    assert holder(place) == begun["run_id"]


def test_a_watch_leaves_a_server_to_the_restore_that_has_begun(
    watched: Watched, place: Place, tmp_path: pathlib.Path
) -> None:
    begun = start(place)
    options = {"node": "n1", "controller": {}, "lease_timeout": 900, "gone": [], **HERE}
    one = watched(begun["run_id"], looks=[lambda: take_turn(str(tmp_path / "data"), options, check=False)], step=1)
    grow_old(place, 901)
    assert one.wait({"node": "n1"}) is None
    assert not os.path.exists(one.note), "whether it runs afterwards is what restore_start says"
    assert holder(place) == begun["run_id"]
