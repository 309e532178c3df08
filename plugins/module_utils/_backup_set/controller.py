# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: which process of which host runs the playbook, and whether it still does."""

from __future__ import annotations

import os
import platform
import pwd
import typing as t

Identity = t.Dict[str, t.Any]


def identity(pid: int) -> Identity:
    """What tells a process from all others; the same pid later, or in another container, is another one."""
    return {
        "host": platform.node(),
        "boot_id": _text("/proc/sys/kernel/random/boot_id"),
        "pid": pid,
        "start": _start(pid),
        "pid_namespace": _namespace("self"),
        "user": _user(),
    }


def sees(one: Identity, other: Identity) -> bool:
    """Whether one process can tell if another one still runs: they are of one host, one boot and one container."""
    return all(one.get(key) and one[key] == other.get(key) for key in ("host", "boot_id", "pid_namespace"))


def is_same(one: Identity, other: Identity) -> bool:
    """Whether both are one process, which may run several plays."""
    return sees(one, other) and one.get("pid") == other.get("pid") and one.get("start") == other.get("start")


def is_alive(holder: Identity) -> bool:
    """Whether a process is known to run still. False when this host cannot know: it is not the same, or restarted."""
    known = _known(holder)
    return known is not None and _start(known[0]) == known[1]


def is_dead(holder: Identity) -> bool:
    """Whether a process is known to have ended. False when this host cannot know, as for :func:`is_alive`."""
    known = _known(holder)
    return known is not None and _start(known[0]) != known[1] and not _is_hidden(known[0])


def _known(holder: Identity) -> tuple[int, int] | None:
    """Its pid and start, when they are those of a process of this host."""
    if not sees(identity(os.getpid()), holder):
        return None
    try:
        return int(holder["pid"]), int(holder["start"])
    except (KeyError, TypeError, ValueError):
        return None


def _is_hidden(pid: int) -> bool:
    """Whether there is a process of another user of which /proc shows nothing (hidepid): it may be the holder's."""
    if _text(f"/proc/{pid}/stat") is not None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _start(pid: int) -> int | None:
    """When a process was started, in ticks since the host was; None when there is none or it is a zombie."""
    line = _text(f"/proc/{pid}/stat")
    if line is None:
        return None
    values = line.rpartition(")")[2].split()  # the name in parentheses may hold anything
    return None if values[0] in "ZX" else int(values[19])


def _namespace(pid: str) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return None


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return None
