# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A data folder that is shared over a network file system has one writer."""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

from servers.deployment import Site

NFS = """
import builtins, errno, os, time
MARK, RUN = os.environ["ABSENT_SINCE"], "/.nuxeo-platform-run"
def patched(real):
    def call(path, *args, **more):
        text = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
        if RUN in text and not cached(text[: text.find(RUN) + len(RUN)]):
            return real(path, *args, **more)
        if RUN in text:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", text)
        return real(path, *args, **more)
    return call
def cached(base):
    try:
        if time.time() - stat(MARK).st_mtime < 30:
            return True
    except FileNotFoundError:
        pass
    try:
        stat(base)
        return False
    except FileNotFoundError:
        os.close(make(MARK, os.O_CREAT | os.O_WRONLY))
        return True
stat, make = os.stat, os.open
for name in ("stat", "lstat", "open", "listdir"):
    setattr(os, name, patched(getattr(os, name)))
builtins.open = patched(builtins.open)
"""
"""A client that remembers for a while that the folder of runs was not there, and so for all that is below it."""


def test_what_a_node_remembers_as_absent_makes_no_second_writer(
    site: Site,
    postgresql15: t.Any,
    make_database: t.Callable[..., t.Any],
    make_nuxeo: t.Callable[..., t.Any],
    tmp_path: Path,
) -> None:
    database = make_database(postgresql15)
    one = make_nuxeo(database).start()
    two = make_nuxeo(database, properties={"nuxeo.data.dir": str(one.data_dir)}).start()
    one.create_documents(1)
    site.add("a1", one, nuxeo_instance="acme")
    site.add("a2", two, nuxeo_instance="acme")
    site.run("backup").check()
    (tmp_path / "nfs").mkdir()
    (tmp_path / "nfs" / "sitecustomize.py").write_text(NFS)
    python = tmp_path / "python-a2"
    known = f"export PYTHONPATH={tmp_path}/nfs ABSENT_SINCE={tmp_path}/absent"
    python.write_text(f'#!/bin/sh\n{known}\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    site.hosts["a2"]["ansible_python_interpreter"] = str(python)
    run = site.restore(postgresql15, restore_overwrite=True)
    assert (tmp_path / "absent").exists()
    begun = {task.host for task in run.of("mark it as unfinished") if task.status != "skipped"}
    assert begun == {"a1"}
    assert not list(one.data_dir.glob(".nuxeo-platform-here-*"))
