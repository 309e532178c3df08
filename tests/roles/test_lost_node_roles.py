# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that cannot be reached any more when the leader asks it something takes no healthy node with it."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from servers.deployment import Site
from servers.playbook import wait_for

PAIR = t.Tuple[t.Any, t.Any, Path]


@pytest.fixture
def pair(
    site: Site,
    postgresql15: t.Any,
    make_database: t.Callable[..., t.Any],
    make_nuxeo: t.Callable[..., t.Any],
    tmp_path: Path,
) -> PAIR:
    """Two nodes that run, and are saved; a file that is made then takes away the connection to the second."""
    database = make_database(postgresql15)
    one = make_nuxeo(database).start()
    two = make_nuxeo(database, properties={"nuxeo.data.dir": str(one.data_dir)}).start()
    one.create_documents(2)
    site.add("a1", one, nuxeo_instance="acme")
    site.add("a2", two, nuxeo_instance="acme")
    site.run("backup").check()
    gone = tmp_path / "gone"
    connection = f"{{{{ 'ssh' if lookup('ansible.builtin.fileglob', '{gone}') else 'local' }}}}"
    site.hosts["a2"].update(ansible_connection=connection, ansible_host="127.0.0.1", ansible_port=1)
    return one, two, gone


def lose(site: Site, gone: Path, playbook: str, step: str, **given: t.Any) -> t.Any:
    """Run, and take the second node away once a step is done."""
    run = site.start(playbook, **given)
    wait_for(lambda: any(step in task.task for task in run.tasks()))
    gone.write_text("")
    return run.wait(300)


@pytest.mark.parametrize(
    "step", ["Leader of the instance", "Every checksum of the set", "Nobody has started it meanwhile"]
)
def test_restore(site: Site, postgresql15: t.Any, pair: PAIR, step: str) -> None:
    one, _two, gone = pair
    run = lose(site, gone, "restore", step, restore_overwrite=True, **site.admin(postgresql15))
    assert run.stats["a1"]["unreachable"] == 0, run.stdout
    told = " ".join(str(task.result.get("msg")) for task in run.tasks if (task.host, task.status) == ("a1", "failed"))
    assert "a2" in told and run.stats["a1"]["failures"] == 1, run.stdout
    assert one.running and "restore guard" not in one.conf.read_text()
    assert not (one.data_dir / ".nuxeo-platform-run" / "lease.json").exists()
    assert not list(one.data_dir.glob(".nuxeo-platform-before-*"))


def test_backup(site: Site, pair: PAIR) -> None:
    one, _two, gone = pair
    run = lose(site, gone, "backup", "Try the dump")
    assert run.stats["a1"]["unreachable"] == 0, run.stdout
    told = " ".join(task.result["msg"] for task in run.of("The instance was not backed up") if task.host == "a1")
    assert "restore is on at node a2: it cannot be reached any more" in told, run.stdout
    assert one.running and len(site.sets("acme")) == 1 and not site.partial("acme")
    assert not (site.root / "acme" / "lease.json").exists()
    site.run("backup")
    assert len(site.sets("acme")) == 2, "what is away from the start is left out, and told"
