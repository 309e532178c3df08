# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Children: their output, their end, and that they never outlive their run."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils import _process
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import PlatformError
from ansible_collections.nuxeo.platform.plugins.module_utils._progress import Progress


def alive(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def gone(pid: int) -> bool:
    until = time.monotonic() + 15
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(pid)


def test_output_status_and_environment() -> None:
    code = "import os, sys; print(os.environ['LC_ALL'], os.environ['X']); print('bad', file=sys.stderr); sys.exit(3)"
    assert _process.run([sys.executable, "-c", code], {"X": "y z"}) == (3, "C y z\n", "bad\n")
    assert _process.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]).rc == -9
    assert len(_process.run([sys.executable, "-c", "print('x' * 10_000_000)"]).stdout) == 10_000_001


def test_arguments_are_no_shell_line() -> None:
    hard = ["$(id)", "a b", "'\"`", "-rf", "\n"]
    code = "import sys; print(sys.argv[1:])"
    assert _process.run([sys.executable, "-c", code, *hard]).stdout == f"{hard!r}\n"


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(PlatformError, match=r"^Start of '/no/pg_dump': No such file or directory\.$"):
        _process.run(["/no/pg_dump"])


@pytest.mark.parametrize("told_by", ["progress", "watch"])
def test_child_and_grandchild_end_when_the_run_has_lost_its_place(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, told_by: str
) -> None:
    pids = tmp_path / "pids"
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        "if child:\n"
        "    open(sys.argv[1] + '~', 'w').write(f'{os.getpid()} {child}')\n"
        "    os.rename(sys.argv[1] + '~', sys.argv[1])\n"
        "time.sleep(60)\n"
    )

    def lost() -> None:
        if pids.exists():
            raise PlatformError("Progress", "gone")

    monkeypatch.setattr(_process, "_GRACE", 0.5)
    progress = Progress(None, "dump")
    if told_by == "progress":
        monkeypatch.setattr(progress, "check", lost)
    with pytest.raises(PlatformError, match="gone"):
        argv = [sys.executable, "-c", code, str(pids)]
        _process.run(argv, progress=progress, watch=lost if told_by == "watch" else None)
    assert all(gone(int(pid)) for pid in pids.read_text().split())


def test_a_child_does_not_outlive_a_killed_module(tmp_path: pathlib.Path) -> None:
    pid = tmp_path / "pid"
    write = f"open({str(pid)!r} + '~', 'w').write(str(os.getpid())); os.rename({str(pid)!r} + '~', {str(pid)!r})"
    inner = f"import os, time; {write}; time.sleep(60)"
    root = str(pathlib.Path(_process.__file__).parents[len(_process.__name__.split(".")) - 1])
    code = (
        "import importlib, sys\n"
        f"sys.path.insert(0, {root!r})\n"
        f"_process = importlib.import_module({_process.__name__!r})\n"
        f"_process.run([sys.executable, '-c', {inner!r}])\n"
    )
    module = subprocess.Popen([sys.executable, "-c", code], env=dict(os.environ))
    until = time.monotonic() + 20
    while not pid.exists() and time.monotonic() < until:
        time.sleep(0.02)
    module.kill()
    module.wait()
    assert gone(int(pid.read_text()))
