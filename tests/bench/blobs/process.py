# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that are measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import typing as t

from blobs.place import REPO, ROOT

RUN = """
import importlib, json, sys
import ansible.module_utils.basic as basic
name, arguments = sys.argv[1], sys.argv[2]
basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": json.loads(arguments)}).encode()
basic._ANSIBLE_PROFILE = "legacy"
sys.argv = [name]
importlib.import_module("ansible_collections.nuxeo.platform.plugins.modules." + name).main()
"""


ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class Ran(t.NamedTuple):
    """A process that has ended."""

    seconds: float
    rss: int
    """Bytes, of the largest process of it."""
    output: bytes


def run(argv: t.Sequence[t.Any], fail: bool = True, env: t.Mapping[str, str] | None = None) -> Ran:
    """Run a process to its end, and measure it."""
    with open(ROOT / "output", "w+b") as out:
        began = time.monotonic()
        child = subprocess.Popen(
            [str(word) for word in argv], stdout=out, stderr=subprocess.STDOUT, env={**ENVIRONMENT, **(env or {})}
        )
        _pid, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        output = out.read()
    if fail and child.returncode:
        raise SystemExit(f"{argv[0]} failed: {output[-2000:].decode()}")
    return Ran(seconds, usage.ru_maxrss * 1024, output)


def module(
    name: str, prefix: t.Sequence[str] = (), fail: bool = True, **options: t.Any
) -> t.Tuple[Ran, t.Dict[str, t.Any]]:
    """Run a module as a process, and read what it says."""
    path = str(REPO / "build" / "collections")
    argv = [*prefix, sys.executable, "-c", RUN, name, json.dumps(options)]
    done = run(argv, fail=fail, env={"PYTHONPATH": path})
    said = [line for line in done.output.splitlines() if line.startswith(b"{")]
    return done, json.loads(said[-1])
