# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore that meets another one, what an earlier one has left, or somebody who starts the server."""

from __future__ import annotations

import json
import shutil
import signal
import typing as t
from pathlib import Path

import pytest
from servers.deployment import Site
from servers.nuxeo import proof
from servers.playbook import Run, wait_for

MARKER = ".nuxeo-platform-restore.json"
GUARD = "restore guard"


def marker_of(data_dir: Path) -> dict[str, t.Any]:
    path = data_dir / MARKER
    return dict(json.loads(path.read_text())) if path.exists() else {}


def is_filled(data_dir: Path, set_id: str) -> bool:
    """Whether a restore of that set has come as far as its database."""
    marker = marker_of(data_dir)
    return marker.get("set") == set_id and bool(marker.get("filled"))


def come_to(run: Run, what: t.Callable[[], bool]) -> None:
    """Let a run come to something, and stand still there."""
    wait_for(lambda: what() or run.process.poll() is not None, 300)
    assert run.process.poll() is None, run.shown
    run.process.send_signal(signal.SIGSTOP)


def go_on(run: Run) -> t.Any:
    run.process.send_signal(signal.SIGCONT)
    return run.wait()


@pytest.fixture
def database(postgresql15: t.Any, make_database: t.Callable[..., t.Any]) -> t.Any:
    return make_database(postgresql15)


@pytest.fixture
def acme(site: Site, database: t.Any, make_nuxeo: t.Callable[..., t.Any]) -> t.Any:
    """It runs, and there is a set of it."""
    instance = make_nuxeo(database).start()
    instance.create_documents(4)
    site.add("acme", instance)
    site.backup()
    return instance


def test_a_set_of_another_instance_with_the_same_id_is_restored(
    site: Site,
    acme: t.Any,
    database: t.Any,
    postgresql15: t.Any,
    make_database: t.Callable[..., t.Any],
    make_nuxeo: t.Callable[..., t.Any],
) -> None:
    """A backup of a fleet gives several instances the id of one second."""
    other_database = make_database(postgresql15)
    other = make_nuxeo(other_database).start()
    other.create_documents(7)
    site.add("other", other)
    site.backup("--limit", "other")
    site.hosts.clear()
    place = make_database(postgresql15)
    staging = make_nuxeo(place)
    site.add("staging", staging)
    site.restore(postgresql15, restore_from_instance="acme", restore_overwrite=True)
    assert proof.documents(postgresql15, place.name) == proof.documents(postgresql15, database.name)
    marker = {**marker_of(staging.data_dir), "set": site.sets("other")[0].name}
    (staging.data_dir / MARKER).write_text(json.dumps(marker))
    site.restore(postgresql15, restore_from_instance="other", restore_overwrite=True)
    assert proof.documents(postgresql15, place.name) == proof.documents(postgresql15, other_database.name)


@pytest.mark.parametrize("killed", [False, True])
def test_what_was_there_already_is_not_started_into_another_restore(
    site: Site, acme: t.Any, postgresql15: t.Any, killed: bool
) -> None:
    acme.create_documents(3)
    site.backup()
    old, new = (path.name for path in site.sets("acme"))
    site.restore(postgresql15, restore_set=new, restore_overwrite=True)
    late = site.start("restore", restore_set=new, **site.admin(postgresql15))
    come_to(late, lambda: any(task.task.endswith("Keep what was predicted") for task in late.tasks()))
    first = site.start("restore", restore_set=old, restore_overwrite=True, **site.admin(postgresql15))
    come_to(first, lambda: is_filled(acme.data_dir, old))
    if killed:
        first.kill()
    done = go_on(late)
    told = " ".join(done.failures)
    assert done.rc != 0 and ("has come between" if killed else f"process {first.process.pid}) is on since") in told
    assert not acme.running and GUARD in acme.conf.read_text()
    if not killed:
        assert go_on(first).check() and acme.running


@pytest.mark.parametrize("starts", [True, False])
def test_a_server_that_was_started_meanwhile_is_not_taken_for_the_restored_one(
    site: Site, acme: t.Any, postgresql15: t.Any, starts: bool
) -> None:
    """Configuration management writes its own nuxeo.conf, and the service is to run."""
    conf = acme.conf.read_bytes()
    options = {"restore_overwrite": True, "restore_start": starts, **site.admin(postgresql15)}
    run = site.start("restore", **options)
    come_to(run, lambda: is_filled(acme.data_dir, site.sets("acme")[0].name))
    acme.conf.write_bytes(conf)
    if starts:
        acme.start()
    done = go_on(run)
    told = " ".join(done.failures)
    assert done.rc != 0 and "nuxeo.conf of acme has lost the block of this restore" in told
    assert "keeps the server from being started" not in told and "OK acme" not in done.stdout
    assert acme.running is starts and marker_of(acme.data_dir)["status"] == "begun"
    if starts:
        refused = site.run("restore", **{**options, "restore_overwrite": False})
        assert refused.rc != 0 and "it is not empty" in " ".join(refused.failures), "somebody may have worked there"
        site.restore(postgresql15, restore_overwrite=True)
        assert acme.running


def test_a_run_that_cannot_begin_leaves_the_guard_of_another(
    site: Site,
    database: t.Any,
    postgresql15: t.Any,
    make_nuxeo: t.Callable[..., t.Any],
    node_apart: t.Callable[..., Path],
    tmp_path: Path,
) -> None:
    """Its own data folder says nothing of that restore, which has another one."""
    instance, second = make_nuxeo(database), tmp_path / "second"
    instance.start().create_documents(4)
    instance.stop()
    shutil.copytree(instance.home, second)
    instance.start()
    site.add("a1", instance, nuxeo_instance="acme")
    site.add("a2", instance, nuxeo_instance="acme", restore_start=False)
    site.hosts["a2"]["ansible_python_interpreter"] = str(node_apart({instance.home: second}))
    site.backup()
    elsewhere = tmp_path / "new" / "data"
    options = {"restore_overwrite": True, **site.admin(postgresql15)}
    run = site.start("restore", restore_data_dir=str(elsewhere), **options)
    wait_for(lambda: is_filled(elsewhere, site.sets("acme")[0].name))
    run.kill()
    confs = [home / "bin" / "nuxeo.conf" for home in (instance.home, second)]
    assert [GUARD in conf.read_text() for conf in confs] == [True, True]
    (second / "bin" / ".nuxeo.conf.lock").mkdir()  # so that it cannot be written
    refused = site.run("restore", **options)
    assert refused.rc != 0 and refused.of("mark it as unfinished") == []
    assert [GUARD in conf.read_text() for conf in confs] == [True, True]
    assert not instance.running
