# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the Nuxeo processes of this host, found as nuxeoctl finds them, without running it.

A process is a Nuxeo server when its command line names a nuxeo.conf and, behind it, Tomcat's start class. One that has
been told to stop a server is none, nor is one in a container whose nuxeo.conf is another file of the same name. A pid
file is never trusted.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .errors import ConfError

BOOTSTRAP = "org.apache.catalina.startup.Bootstrap"
LAUNCHER = "nuxeo-launcher"
"""What the jar is called that nuxeoctl runs, a copy with a number."""
STARTS = ("start", "startbg", "console", "restart", "restartbg")
FIXED = ".fixed"
"""nuxeoctl runs a file with CRLF line ends as a converted copy of that name."""


@dataclasses.dataclass(frozen=True)
class Running:
    """A running server."""

    pid: int
    conf: str
    home: str | None
    started: str
    """Ticks since boot: with the pid it names one process and no later one."""
    data_dir: str | None = None
    """As the launcher has told it, with references that it leaves open."""

    def age_at(self, moment: float) -> float:
        """Seconds that it had run by then, a time of CLOCK_BOOTTIME; less than 0 when it was started later."""
        return moment - int(self.started) / os.sysconf("SC_CLK_TCK")


def running(conf: str | None = None, proc: str = "/proc") -> list[Running]:
    """The servers that run, or those that run with one nuxeo.conf, by pid."""
    found = []
    for name in os.listdir(proc):
        if not name.isdigit():
            continue
        server = _server(proc, int(name))
        if server is not None and (conf is None or same_file(server.conf, conf)):
            found.append(server)
    return sorted(found, key=lambda server: server.pid)


def hides_others(proc: str = "/proc") -> bool:
    """Whether this user is shown no processes of others, as with the mount option hidepid."""
    return not os.access(f"{proc}/1/cmdline", os.R_OK)


def is_ending(server: Running, proc: str = "/proc") -> bool:
    """Whether a server that was seen may still write: while a process ends it has no command line any more."""
    state, threads, started = _stat(proc, server.pid)
    return started == server.started and (state not in ("Z", "X") or threads > 1)


def is_starting(conf: str, proc: str = "/proc") -> bool:
    """Whether a launcher is about to start a server with a nuxeo.conf, which it may have read already."""
    for name in filter(str.isdigit, os.listdir(proc)):
        arguments = [os.fsdecode(part) for part in _read(f"{proc}/{name}/cmdline").split(b"\0")]
        jar = next((i for i, part in enumerate(arguments) if part == "-jar"), None)
        if jar is None or not any(os.path.basename(part).startswith(LAUNCHER) for part in arguments[jar + 1 : jar + 2]):
            continue
        own = _setting(arguments[:jar], "-Dnuxeo.conf=")
        if own and same_file(own, conf) and set(arguments[jar + 2 :]) & set(STARTS):
            return True
    return False


def same_file(left: str, right: str) -> bool:
    """Whether two paths name one nuxeo.conf, or its copy with other line ends."""
    names = [os.path.realpath(name[: -len(FIXED)] if name.endswith(FIXED) else name) for name in (left, right)]
    return names[0] == names[1]


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError:  # it ended, or it is none of ours
        return b""


def _server(proc: str, pid: int) -> Running | None:
    arguments = [os.fsdecode(part) for part in _read(f"{proc}/{pid}/cmdline").split(b"\0")]
    if BOOTSTRAP not in arguments:  # a process that gives itself a title has it all in one argument
        arguments = [arguments[0].split(" ")[0], *" ".join(arguments).split()]
    if BOOTSTRAP not in arguments or os.path.basename(arguments[0]) in ("sh", "bash", "dash"):
        return None
    before, after = arguments[: arguments.index(BOOTSTRAP)], arguments[arguments.index(BOOTSTRAP) + 1 :]
    if "stop" in after:
        return None
    conf = _setting(before, "-Dnuxeo.conf=")
    if conf is None:
        conf = next((part for part in before if os.path.basename(part) in ("nuxeo.conf", "nuxeo.conf" + FIXED)), None)
    if conf is None:
        return None
    state, _threads, started = _stat(proc, pid)
    if state in ("Z", "X", "") or _is_apart(proc, pid, conf):
        return None
    home, data_dir = (_setting(before, f"-Dnuxeo.{name}=") for name in ("home", "data.dir"))
    return Running(pid, conf, home, started, data_dir)


def _is_apart(proc: str, pid: int, conf: str) -> bool:
    """Whether the nuxeo.conf that it names is another file than what has this name here, unless a mount shares it."""
    root = f"{proc}/{pid}/root"
    try:
        if os.path.samestat(os.stat(root), os.stat("/")):
            return False
    except OSError:  # not for us to see, as of other users' processes
        return False
    try:
        return not os.path.samestat(os.stat(root + conf), os.stat(conf))
    except OSError:
        return True


def _stat(proc: str, pid: int) -> tuple[str, int, str]:
    """State, number of threads and start time; the name before them may hold anything."""
    fields = _read(f"{proc}/{pid}/stat").rpartition(b")")[2].decode("ascii", "replace").split()
    return (fields[0], int(fields[17]), fields[19]) if len(fields) > 19 else ("", 0, "")


def _setting(arguments: t.Sequence[str], prefix: str) -> str | None:
    values = [part[len(prefix) :] for part in arguments if part.startswith(prefix)]
    return values[-1] if values else None


def environment_of(pid: int, proc: str = "/proc") -> dict[str, str]:
    """The environment that a process was started with.

    :raises ConfError: when it cannot be read, for nothing else may stand for it; or is empty, as that of one that ends
    """
    why = "it is empty"
    try:
        with open(f"{proc}/{pid}/environ", "rb") as stream:
            content = stream.read()
    except OSError as error:
        content, why = b"", error.strerror or str(error)
    if not content:
        raise ConfError(
            f"Reading of the environment of the Nuxeo process {pid}",
            why,
            "Run as root or as the user of Nuxeo, or give it by nuxeo_environment",
        )
    values: dict[str, str] = {}
    for part in content.split(b"\0"):
        name, separator, value = part.partition(b"=")
        if separator:
            values.setdefault(os.fsdecode(name), value.decode("utf-8", "surrogateescape"))
    return values
