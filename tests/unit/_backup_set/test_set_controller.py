# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that holds a lease is known again, and is called dead only when it certainly is."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import controller


@pytest.fixture
def sleeper() -> t.Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"], stdout=-1)
    assert process.stdout and process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_process_is_known_by_its_start_too(sleeper: subprocess.Popen[bytes]) -> None:
    who = controller.identity(sleeper.pid)
    assert not controller.is_dead(who)
    assert controller.is_dead({**who, "start": who["start"] - 1})  # the pid was given to another process since
    sleeper.send_signal(signal.SIGSTOP)
    assert not controller.is_dead(who)
    sleeper.kill()
    time.sleep(0.2)
    assert controller.is_dead(who)  # a zombie
    sleeper.wait()
    assert controller.is_dead(who)


@pytest.mark.parametrize("key", ["host", "boot_id", "pid_namespace", "pid", "start"])
@pytest.mark.parametrize("value", ["another", None])
def test_a_process_that_this_host_cannot_see_is_not_called_dead(
    sleeper: subprocess.Popen[bytes], key: str, value: t.Optional[str]
) -> None:
    who = controller.identity(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    assert not controller.is_dead({**who, key: value})
    del who[key]
    assert not controller.is_dead(who)


def test_a_process_of_another_user_that_is_not_shown_is_not_called_dead(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where /proc is mounted with hidepid=2."""
    who, shown = controller.identity(sleeper.pid), controller._text
    hidden = f"/proc/{sleeper.pid}/"
    monkeypatch.setattr(controller, "_text", lambda path: None if path.startswith(hidden) else shown(path))
    real = os.kill

    def kill(pid: int, number: int) -> None:
        real(pid, number)
        if pid == sleeper.pid and number == 0:
            raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", kill)
    assert not controller.is_dead(who)
    sleeper.kill()
    sleeper.wait()
    assert controller.is_dead(who)


def test_names_of_processes_may_hold_anything(tmp_path: pathlib.Path) -> None:
    odd = tmp_path / "a) R 1 (b"
    odd.symlink_to(sys.executable)
    process = subprocess.Popen([str(odd), "-c", "import time; print(flush=True); time.sleep(60)"], stdout=-1)
    assert process.stdout and process.stdout.readline()
    try:
        who = controller.identity(process.pid)
        boot = float(pathlib.Path("/proc/uptime").read_text().split()[0]) * os.sysconf("SC_CLK_TCK")
        assert boot - 3000 < who["start"] <= boot
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
