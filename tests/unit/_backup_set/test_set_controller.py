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


def fate(who: controller.Identity) -> str:
    """What is known of a process."""
    told = {"dead": controller.is_dead(who), "alive": controller.is_alive(who)}
    assert sum(told.values()) <= 1
    return next((word for word, is_so in told.items() if is_so), "unknown")


def test_a_process_is_known_by_its_start_too(sleeper: subprocess.Popen[bytes]) -> None:
    who = controller.identity(sleeper.pid)
    assert fate(who) == "alive"
    assert fate({**who, "start": who["start"] - 1}) == "dead"  # the pid was given to another process since
    sleeper.send_signal(signal.SIGSTOP)
    assert fate(who) == "alive"
    sleeper.kill()
    time.sleep(0.2)
    assert fate(who) == "dead"  # a zombie
    sleeper.wait()
    assert fate(who) == "dead"


@pytest.mark.parametrize("key", ["host", "boot_id", "pid_namespace", "pid", "start"])
@pytest.mark.parametrize("value", ["another", None])
def test_a_process_that_this_host_cannot_see_is_not_called_dead(
    sleeper: subprocess.Popen[bytes], key: str, value: t.Optional[str]
) -> None:
    who = controller.identity(sleeper.pid)
    assert fate({**who, key: value}) == "unknown" or (key, value) == ("start", "another")
    sleeper.kill()
    sleeper.wait()
    assert fate({**who, key: value}) == "unknown"
    del who[key]
    assert fate(who) == "unknown"


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
    assert fate(who) == "unknown"
    sleeper.kill()
    sleeper.wait()
    assert fate(who) == "dead"


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


def test_who_sees_whom(sleeper: subprocess.Popen[bytes]) -> None:
    here, other = controller.identity(os.getpid()), controller.identity(sleeper.pid)
    assert controller.sees(here, other) and not controller.is_same(here, other)
    assert controller.is_same(here, controller.identity(os.getpid()))
    for key in ("host", "boot_id", "pid_namespace"):
        assert not controller.sees(here, {**other, key: "another"}) and not controller.sees({**here, key: None}, other)
        assert not controller.is_same(here, {**here, key: "another"})
    assert not controller.sees({}, {}) and not controller.is_same({}, {})
