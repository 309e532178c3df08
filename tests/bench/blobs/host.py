# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host that a store is copied to over ssh."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import typing as t

from blobs.place import REPO, ROOT


@contextlib.contextmanager
def another_host() -> t.Iterator[t.Tuple[t.List[str], str, str]]:
    """The host that the environment names, or a test host."""
    if os.environ.get("BENCH_BLOBS_FAR"):
        host, dummy, folder = os.environ["BENCH_BLOBS_FAR"].partition(":")
        yield shlex.split(os.environ.get("BENCH_BLOBS_RSH", "ssh")), host, folder
        return
    sys.path.insert(0, str(REPO / "tests"))
    from servers.hosts import NETWORK, Lab, make_tree

    tree = REPO / ".cache" / "tree"
    make_tree(tree)
    lab = Lab(ROOT / "lab")
    lab.down()
    lab.up(1, tree)
    try:
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes"]
        options.append(f"ProxyCommand=ip netns exec {lab.name} nc %h %p")
        rsh = ["ssh", "-i", str(lab.state / "key"), "-l", "root", *(word for each in options for word in ("-o", each))]
        yield rsh, f"{NETWORK}.11", "/shared/bench"
    finally:
        lab.down()
