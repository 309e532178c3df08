# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watch of a node whose server a backup has stopped: it starts that when the run is gone, and never else."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import pathlib
import subprocess
import time
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import lease, watch
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.begin import (
    abandon,
    is_turn_taken,
    take_turn,
)
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.place import Place, SetError
from ansible_collections.nuxeo.platform.tests.unit._backup_set.sets import grow_old, partials, start

HERE = {"backup_root": None, "instance": None}

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


def test_a_watch_does_not_go_by_the_clock_of_its_node(watched: Watched, place: Place) -> None:
    """That of the file system is 20 minutes behind: each sign of life looks old."""
    begun = start(place)

    def beat(second: int) -> None:
        then = time.time() - 1200 + second
        os.utime(begun["partial"], (then, then))

    grow_old(place, 1300)
    beats = [functools.partial(beat, second) for second in range(20)]
    one = watched(begun["run_id"], looks=[*beats, lambda: os.unlink(one.note)])
    assert one.wait({"node": "n1"}) is None
    assert holder(place) == begun["run_id"]


def test_a_watch_waits_no_longer_where_the_file_system_is_ahead(
    watched: Watched, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = start(place)
    grow_old(place, 901)
    real = time.time
    monkeypatch.setattr(lease.time, "time", lambda: real() - 3600)
    one = watched(begun["run_id"], looks=[*[lambda: None] * 16, lambda: os.unlink(one.note)])
    assert one.wait({"node": "n1"}) == holder(place) != begun["run_id"]


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
