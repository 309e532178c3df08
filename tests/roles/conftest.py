# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests that drive the playbooks as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

if t.TYPE_CHECKING:
    from servers.deployment import Site


@pytest.fixture
def site(tmp_path: Path, local_inventory: t.Callable[..., Path], start_playbook: t.Callable[..., t.Any]) -> Site:
    """An empty site with a backup root."""
    from servers.deployment import Site

    return Site(tmp_path / "backup", local_inventory, start_playbook)


@pytest.fixture
def node_apart(tmp_path: Path) -> t.Iterator[t.Callable[..., Path]]:
    """Makes another node of this machine: a Python that sees other folders under some names, and no process of ours.

    ``node_apart({folder: the folder that the node has there})``
    """
    nodes: list[subprocess.Popen[bytes]] = []

    def make(folders: t.Mapping[Path, Path]) -> Path:
        script = 'while [ $# -gt 0 ]; do mount --bind "$1" "$2"; shift 2; done; echo; exec sleep infinity'
        unshare = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
        pairs = [str(path) for here, there in folders.items() for path in (there, here)]
        node = subprocess.Popen([*unshare, "sh", "-euc", script, "sh", *pairs], stdout=subprocess.PIPE)
        nodes.append(node)
        assert node.stdout and node.stdout.readline() == b"\n", "it has not come up"
        pid = Path(f"/proc/{node.pid}/task/{node.pid}/children").read_text().strip()
        python = tmp_path / f"python{len(nodes)}"
        # what a module of async starts is there already
        enter = f'[ "$NODE_APART" ] || exec env NODE_APART=1 nsenter -t {pid} -m -p -- "$0" "$@"'
        python.write_text(f'#!/bin/sh\n{enter}\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        return python

    yield make
    for node in nodes:
        os.kill(node.pid, 9)
        node.communicate()
