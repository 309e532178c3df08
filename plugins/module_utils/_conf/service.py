# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: starts and stops a Nuxeo, and believes neither its exit code nor its pid file."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import os
import pwd
import shutil
import socket
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request

from . import kept
from .configuration import Configuration
from .errors import ConfError
from .java_options import before_nuxeoctl
from .load import read_bytes
from .loopback import LOCAL, own_address
from .process import Running, environment_of, hides_others, is_ending, is_starting, running

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

POLL = 0.5
CONTROL = "nuxeoctl"


class Run(t.Protocol):
    """Runs a program to its end, in exactly the given environment."""

    def __call__(self, argv: list[str], environment: dict[str, str] | None) -> tuple[int, str, str]: ...


@dataclasses.dataclass
class Service:
    """One Nuxeo on this host.

    :param name: a systemd unit, ``nuxeoctl``, or the path of a nuxeoctl
    :param url: where it answers; default: from its configuration
    """

    name: str
    configuration: Configuration
    run: Run
    timeout: float
    url: str | None = None

    @property
    def uses_control(self) -> bool:
        """Whether nuxeoctl is run, and not systemd."""
        return self.name == CONTROL or "/" in self.name

    def servers(self) -> list[Running]:
        """The processes of this instance. Where those of its user are hidden, that none is seen says nothing."""
        found = running(self.configuration.conf)
        if not found and os.geteuid() not in (0, self._owner().st_uid) and hides_others():
            raise ConfError(
                f"Search for the Nuxeo of '{self.configuration.conf}'",
                "the list of processes of this host hides those of other users (hidepid)",
                "Run as root or as the user of Nuxeo",
            )
        return found

    def _owner(self) -> os.stat_result:
        """Whose the data folder is, or where there is none yet, nuxeo.conf."""
        folder = self.configuration.folder("nuxeo.data.dir")
        return os.stat(folder if os.path.isdir(folder) else self.configuration.conf)

    def settled(self) -> list[Running]:
        """The same, once no launcher is about to start one."""
        until = time.monotonic() + self.timeout
        while True:
            starting, found = self._seen()
            if found or not starting:
                return found
            if time.monotonic() > until:
                why = f"after {self.timeout:g} s a launcher is still about to start it"
                raise self._failed("stop", why, "Wait until that has ended, or end it, and run again")
            time.sleep(POLL)

    def _seen(self) -> tuple[bool, list[Running]]:
        """Whether a launcher is about to start one, looked for first: the server of one that has ended is seen then."""
        return is_starting(self.configuration.conf), self.servers()

    def address(self) -> str:
        """The URL of the running status."""
        return (self.url or self._base(self._bind_address())).rstrip("/") + "/runningstatus?info=started"

    def management(self) -> str:
        """Where the server takes administrators' calls: since 2021 on one port only, which may be one of its own."""
        port = self.configuration.used("nuxeo.management.api.http.port") if self.configuration.line.modern else ""
        if port:
            return self._base(self.configuration.used("nuxeo.bind.address"), port)
        return (self.url or self._base(self._bind_address())).rstrip("/")

    def _base(self, bind_address: str, port: str = "") -> str:
        port = port or self.configuration.used("nuxeo.server.http.port", "8080")
        context = self.configuration.used("org.nuxeo.ecm.contextPath", "/nuxeo")
        return f"http://{own_address(bind_address)}:{port}{context}"

    def _bind_address(self) -> str:
        """Where HTTP is served: on the loopback interface only where HTTPS is served, on the other."""
        https = self.configuration.used("nuxeo.server.https.port", "0")
        return LOCAL if https not in ("", "0") else self.configuration.used("nuxeo.bind.address")

    # -- start

    def start(self) -> Running:
        """Start it where it does not run, and wait until it says that it has started."""
        until = time.monotonic() + self.timeout
        called = False
        seen: Running | None = None
        while True:
            starting, found = self._seen()
            # perhaps one that was ending: a stop of it may have taken too long
            if not found and not called and not starting:
                self._refuse_taken_address()
                self._refuse_unusable("start")
                self._call("start")
                called, found = True, self.servers()
                seen = None
            if seen is not None and not found:
                raise self._failed("start", f"its process {seen.pid} has ended", "Read server.log")
            seen = found[0] if found else seen
            why = "no process has its nuxeo.conf in the command line"
            if seen is not None:
                why = f"process {seen.pid} runs, but {self.address()} says {self._answer()}"
                if why.endswith(" true"):
                    kept.forget(self.configuration.conf)
                    return seen
            if time.monotonic() > until:
                raise self._failed("start", f"after {self.timeout:g} s {why}", "Read server.log, or give more time")
            time.sleep(POLL)

    def _refuse_taken_address(self) -> None:
        """Whoever holds its port would be taken for it, when that says ``true`` before the start has failed."""
        if self.url is not None:
            return  # others may answer for it there
        where = urllib.parse.urlsplit(self.address())
        with contextlib.suppress(OSError, ValueError):  # nobody listens, or the start will tell
            socket.create_connection((where.hostname, where.port or 80), timeout=5).close()
            if self.servers():
                return  # somebody else has just started it
            why = f"no process has its nuxeo.conf in the command line, but {where.netloc} is taken by another program"
            raise self._failed("start", why, "Stop that, or change nuxeo.server.http.port")

    def _answer(self) -> str:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self.address(), timeout=5) as response:
                return str(response.read(100).decode("utf-8", "replace").strip())
        except (OSError, ValueError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}"

    # -- stop

    def stop(self) -> None:
        """Stop it and wait until no process of it is left."""
        until = time.monotonic() + self.timeout
        begun = time.clock_gettime(time.CLOCK_BOOTTIME)
        before = self.servers()
        self._refuse_unusable("stop")  # what is stopped has to be started again
        if before:
            self._keep_environment(before[0])
        self._call("stop")
        while True:
            left = self.servers() or [server for server in before if is_ending(server)]
            if not left:
                return
            pids = ", ".join(str(server.pid) for server in left)
            if all(server.age_at(begun) < 0 for server in left):
                raise self._failed(
                    "stop",
                    f"it was stopped, and somebody has started it again as process {pids} at once",
                    "Keep whoever starts it from that, a service manager perhaps, and run again",
                )
            if time.monotonic() > until:
                raise self._failed(
                    "stop",
                    f"after {self.timeout:g} s process {pids} still runs with '{self.configuration.conf}'",
                    "It may have been started in another way than by this service: stop it by hand",
                )
            time.sleep(POLL)

    # -- can it be done

    def problems(self) -> list[str]:
        """Why it could not start the server."""
        unusable = self._unusable()
        return [str(self._failed("start", *unusable))] if unusable else []

    def _refuse_unusable(self, action: str) -> None:
        unusable = self._unusable()
        if unusable:
            raise self._failed(action, *unusable)

    def _unusable(self) -> tuple[str, str] | None:
        """Why nothing can be done by it, and what to do about that."""
        if self.uses_control:
            if os.access(self._control, os.X_OK) and os.path.isfile(self._control):
                return None
            return f"'{self._control}' is no program", "Give its path, or the name of a unit"
        state, err = self._told("LoadState")
        if state == "masked":
            return "the unit is masked", "Unmask it"
        said = f"systemd has it as {state!r}" if state else f"systemd does not tell, {err or 'without a word'}"
        return None if state == "loaded" else (said, "Give the name of the unit of Nuxeo, or nuxeoctl")

    def _told(self, name: str) -> tuple[str, str]:
        """What systemd tells of the unit, and what it complains of."""
        _rc, out, err = self.run(["systemctl", "show", f"--property={name}", "--", self.name], None)
        return out.strip().partition("=")[2], err.strip()

    @property
    def _control(self) -> str:
        return self.name if "/" in self.name else f"{self.configuration.home}/bin/nuxeoctl"

    # -- the environment, which nuxeoctl takes from whoever calls it; without it nuxeo.conf reads otherwise

    def _keep_environment(self, server: Running) -> None:
        try:
            environment = environment_of(server.pid)
        except ConfError:  # of another user: we could not start it either
            return
        told, where = "its environment cannot be kept until the next start", kept.folder()
        try:
            private = kept.keep(self.configuration.conf, environment)
        except OSError as error:
            raise self._failed("stop", f"{told}: {error.strerror} at '{where}'", "Make room there") from error
        if not private:
            raise self._failed("stop", f"{told}, since '{where}' is not private", "Take that away")

    def _control_environment(self) -> dict[str, str]:
        values = {"PATH": os.environ.get("PATH", os.defpath), "LANG": os.environ.get("LANG", "C.UTF-8")}
        values.update({name: os.environ[name] for name in ("JAVA_HOME", "HOME") if name in os.environ})
        values.update(kept.kept(self.configuration.conf) or {})
        values.update(self.configuration.environment)
        if "JAVA_OPTS" in values:
            text = read_bytes(self.configuration.conf).decode("utf-8", "surrogateescape")
            values["JAVA_OPTS"] = before_nuxeoctl(values["JAVA_OPTS"], text)
        return {**values, "NUXEO_CONF": self.configuration.conf, "NUXEO_HOME": self.configuration.home}

    # -- commands

    def _call(self, action: str) -> None:
        if self.uses_control:
            argv = [*self._as_owner(), self._control, "--quiet", "startbg" if action == "start" else action]
            rc, out, err = self.run(argv, self._control_environment())
        else:
            verb = "restart" if action == "start" and self._is_left_active() else action
            rc, out, err = self.run(["systemctl", verb, "--", self.name], None)
        # stopped without us, or started: what has become of it is looked for next
        if rc != 0 and bool(self.servers()) == (action == "stop"):
            said = " ".join((err.strip() or out.strip()).split())[-500:]
            raise self._failed(
                action, f"exit code {rc}, {said or 'without a word'}", "Read nuxeoctl.log and server.log"
            )

    def _is_left_active(self) -> bool:
        """Whether its server has gone and its unit has not, as that of an init script: a start of it does nothing.

        Who has started it since that was seen has made it active, too.
        """
        return self._told("ActiveState")[0] == "active" and not any(self._seen())

    def _as_owner(self) -> list[str]:
        """As root, run nuxeoctl as the owner of the data folder: root's files would lock that user out."""
        if os.geteuid() != 0:
            return []
        owner = self._owner()
        if owner.st_uid == 0:
            return []
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise self._failed("start", "setpriv is missing", "Install util-linux, or run as the user of Nuxeo")
        groups = "--init-groups" if _known_user(owner.st_uid) else "--clear-groups"
        return [setpriv, f"--reuid={owner.st_uid}", f"--regid={_group(owner)}", groups, "--"]

    def _failed(self, action: str, why: str, todo: str) -> ConfError:
        verb = {"start": "Start", "stop": "Stop"}[action]
        return ConfError(f"{verb} of Nuxeo by '{self.name}'", why, todo)


def runner(module: AnsibleModule) -> Run:
    """Runs programs by the module's own means."""

    def run(argv: list[str], environment: dict[str, str] | None) -> tuple[int, str, str]:
        if environment is not None:  # never as arguments of env: they are seen by everybody
            os.environ.clear()
            os.environ.update(environment)
        try:
            rc, out, err = module.run_command(argv, handle_exceptions=False)
        except OSError as error:
            return 127, "", f"{argv[0]}: {error.strerror}"
        return int(rc), str(out), str(err)

    return run


def _known_user(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _group(owner: os.stat_result) -> int:
    try:
        return pwd.getpwuid(owner.st_uid).pw_gid
    except KeyError:
        return owner.st_gid
