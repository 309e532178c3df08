# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores that come to no end: what is told to be kept aside by the next one, and how the server is left."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

import pytest
from servers.playbook import wait_for

if t.TYPE_CHECKING:
    from servers.deployment import Site


@pytest.mark.parametrize("leads", ["a1,a2", "a2,a1"])
def test_what_a_killed_restore_has_kept_aside_is_told_by_the_next(
    leads: str,
    site: Site,
    postgresql15: t.Any,
    make_database: t.Any,
    make_nuxeo: t.Any,
    node_apart: t.Callable[..., Path],
    tmp_path: Path,
) -> None:
    """Whichever node leads it; each has a nuxeo.conf and a data folder of its own."""
    database = make_database(postgresql15)
    instance = make_nuxeo(database, properties={"repository.binary.store": str(tmp_path / "blobs")})
    second = tmp_path / "second"
    shutil.copytree(instance.home, second)
    instance.start().create_documents(3)
    site.add("a1", instance, nuxeo_instance="acme")
    site.add("a2", instance, nuxeo_instance="acme", restore_start=False)
    site.hosts["a2"]["ansible_python_interpreter"] = str(node_apart({instance.home: second}))
    site.backup()
    options = {"restore_properties": {"own.property": "v"}, **site.admin(postgresql15)}
    run = site.start("restore", restore_overwrite=True, **options)
    wait_for(lambda: [task for task in run.tasks() if "Properties of nuxeo.conf" in task.task][1:])
    run.kill()
    kept = postgresql15.psql(
        f"select datname from pg_database where datname like '{database.name}_before_%'", "postgres"
    ).split()
    copies = [path.name for home in (instance.home, second) for path in (home / "bin").glob("nuxeo.conf.*~")]
    assert (len(kept), len(copies)) == (1, 2)
    done = site.run("restore", nuxeo_hosts=leads, **options).check()
    (told,) = [task.result["msg"] for task in done.of("debug") if "kept aside" in str(task.result.get("msg"))]
    assert [name for name in kept + copies if name not in told] == []


def test_a_server_whose_stop_takes_too_long_is_started_again(
    site: Site, postgresql15: t.Any, make_database: t.Any, make_nuxeo: t.Any
) -> None:
    """Nothing was changed then, and it ends all the same."""
    instance = make_nuxeo(make_database(postgresql15)).start()
    instance.create_documents(2)
    site.add("a1", instance)
    site.backup()
    slow = instance.home / "bin" / "slow"
    control = f'"{instance.home}/bin/nuxeoctl" "$@"'
    pid = instance.nuxeoctl("status").stdout.split()[-1].strip(".")
    later = f"kill -STOP {pid}; (sleep 12; kill -KILL {pid}) >/dev/null 2>&1 </dev/null & exit 0"
    slow.write_text(f'#!/bin/sh\ncase "$*" in *stop) {later};; esac\nexec {control}\n')
    slow.chmod(0o755)
    options = {"restore_service": str(slow), "restore_service_timeout": 8}
    refused = site.run("restore", restore_overwrite=True, **options, **site.admin(postgresql15))
    assert any("still runs with" in failure for failure in refused.failures)
    wait_for(lambda: instance.nuxeoctl("status").stdout.split()[-1].strip(".") not in (pid, "running"), 20)
    assert "restore guard" not in instance.conf.read_text()
