# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose the folders become that a restore makes."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest

if t.TYPE_CHECKING:
    from servers.deployment import Site


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
@pytest.mark.parametrize("named", [False, True], ids=["recorded", "restore_owner"])
def test_folders_that_a_clone_had_not_belong_to_the_user_of_its_server(
    site: Site,
    postgresql15: t.Any,
    make_database: t.Callable[..., t.Any],
    make_nuxeo: t.Callable[..., t.Any],
    node_apart: t.Callable[..., Path],
    tmp_path: Path,
    named: bool,
) -> None:
    """A store in a volume of root's, of which the set has no tree, and the data folder of a node that it does not know:
    a server that is not root could not write there.
    """
    instance = make_nuxeo(make_database(postgresql15)).start()
    instance.create_documents(4)
    if not named:
        subprocess.run(["chown", "-R", "nobody:nogroup", str(instance.data_dir)], check=True)
    site.add("acme", instance)
    site.backup()
    site.hosts.clear()
    store = tmp_path / "volume" / "blobs"
    store.parent.mkdir()
    staging = make_nuxeo(make_database(postgresql15), properties={"repository.binary.store": str(store)})
    shutil.rmtree(staging.data_dir)
    second = tmp_path / "second"
    shutil.copytree(staging.home, second)
    more = {"nuxeo_instance": "staging", "restore_from_instance": "acme", "restore_start": False}
    site.add("s1", staging, **more)
    python = node_apart({staging.home: second})
    site.add("s2", staging, ansible_python_interpreter=str(python), **more)
    site.restore(postgresql15, **({"restore_owner": "nobody", "restore_group": "nogroup"} if named else {}))
    blobs = list((store / "data").rglob("*"))
    data = staging.data_dir, second / "nxserver" / "data"
    assert any(path.is_file() for path in blobs)
    for path in (*data, store, store / "data", *blobs):
        info = path.stat()
        assert (pwd.getpwuid(info.st_uid).pw_name, path) == ("nobody", path)
        assert pwd.getpwnam("nobody").pw_gid == info.st_gid
    assert data[0].stat().st_mode == data[1].stat().st_mode == instance.data_dir.stat().st_mode
