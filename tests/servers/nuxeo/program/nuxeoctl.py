# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts and stops the stand-in, with the words, the files and the exit codes of Nuxeo's nuxeoctl."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import time
import typing as t
import urllib.request
from http.client import HTTPException
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "standin"))

from configuration import BadConfiguration, Configuration  # noqa: E402

BOOTSTRAP = "org.apache.catalina.startup.Bootstrap"
OK, ERROR, INVALID, UNIMPLEMENTED, STOPPED = 0, 1, 2, 3, 3


class Control:
    """One call of nuxeoctl."""

    def __init__(self) -> None:
        self.home = Path(os.environ.get("NUXEO_HOME") or HERE.parent)
        self.conf = Path(os.environ.get("NUXEO_CONF") or self.home / "bin" / "nuxeo.conf")
        self.configuration = Configuration(self.home, self.conf)
        self.log_dir = self.configuration.folder("nuxeo.log.dir")
        self.pid_file = self.configuration.folder("nuxeo.pid.dir") / "nuxeo.pid"
        self.server_log = self.log_dir / "server.log"

    def note(self, command: str) -> None:
        """Every call leaves a line, and gives nuxeo.conf a status key when it has none."""
        self.log_dir.mkdir(parents=True, exist_ok=True)
        with (self.log_dir / "nuxeoctl.log").open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} INFO  [Launcher] {command}\n")
        if not self.configuration.get("server.status.key"):
            with self.conf.open("a", encoding="utf-8") as conf:
                conf.write("### BEGIN - DO NOT EDIT BETWEEN BEGIN AND END ###\n")
                conf.write(f"server.status.key={secrets.token_hex(4)}\n### END - DO NOT EDIT\n")

    def pid(self) -> int | None:
        """The server, found by its command line: the pid file is not trusted."""
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid():
                try:
                    words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                except OSError:
                    continue
                if BOOTSTRAP in words and f"-Dnuxeo.conf={self.conf}" in words:
                    return int(folder.name)
        return None

    def _command(self) -> list[str]:
        folders = ("nuxeo.log.dir", "nuxeo.data.dir", "nuxeo.tmp.dir")
        words = [f"-Dnuxeo.home={self.home}", f"-Dnuxeo.conf={self.conf}"]
        words += [f"-D{name}={self.configuration.get(name)}" for name in folders]
        return [sys.executable, "-u", str(HERE / "standin" / "server.py"), *words, BOOTSTRAP, "start"]

    def start_in_background(self) -> int:
        """Start the server, and return while it still starts."""
        running = self.pid()
        if running is not None:
            print(f"A server is running with process ID {running}", file=sys.stderr)
            return ERROR
        environment = {**os.environ, "NUXEO_HOME": str(self.home), "NUXEO_CONF": str(self.conf)}
        with self.server_log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment,
                cwd=self.home,
            )
        self.pid_file.parent.mkdir(parents=True, exist_ok=True)
        self.pid_file.write_text(str(self.process.pid), encoding="utf-8")
        print(f"Server started with process ID {self.process.pid}.")
        return OK

    def start(self) -> int:
        """Start the server and wait until it serves."""
        code = self.start_in_background()
        if code:
            return code
        limit = float(self.configuration.get("launcher.start.max.wait", "300"))
        port = self.configuration.get("nuxeo.server.http.port")
        url = f"http://127.0.0.1:{port}/nuxeo/runningstatus?info=started"
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                lines = self.server_log.read_text(encoding="utf-8", errors="replace").splitlines()
                print("\n".join(lines[-3:]), file=sys.stderr)
                return ERROR
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    if answer.read() == b"true":
                        return OK
            except (OSError, HTTPException):  # also cut off between head and body
                pass
            time.sleep(0.1)
        print(f"Starting process is taking too long - giving up after {limit:.0f} seconds.", file=sys.stderr)
        return ERROR

    def stop(self) -> int:
        """Stop the server, by force when it takes too long."""
        pid = self.pid()
        if pid is None:
            print("Server is not running.")
            return OK
        try:
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + float(self.configuration.get("launcher.stop.max.wait", "60"))
            while self.pid() == pid:
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.1)
        except ProcessLookupError:
            pass
        except PermissionError as error:
            print(f"Cannot stop process {pid}: {error}", file=sys.stderr)
            return ERROR
        self.pid_file.unlink(missing_ok=True)
        print("Server stopped.")
        return OK

    def status(self) -> int:
        """0 running, 3 stopped."""
        pid = self.pid()
        print("Server is not running." if pid is None else f"Server is running with process ID {pid}.")
        return STOPPED if pid is None else OK

    def restart(self) -> int:
        """Stop, then start."""
        return self.stop() or self.start()


def main(argv: t.Sequence[str]) -> int:
    """The command line."""
    words = [word for word in argv if not re.match(r"--?(quiet|q|debug|d)$", word)]
    if len(words) != 1:
        print("Usage: nuxeoctl [--quiet] start|startbg|stop|restart|status", file=sys.stderr)
        return INVALID
    try:
        control = Control()
        commands: dict[str, t.Callable[[], int]] = {
            "start": control.start,
            "startbg": control.start_in_background,
            "stop": control.stop,
            "restart": control.restart,
            "status": control.status,
        }
        if words[0] not in commands:
            print(f"Unimplemented: {words[0]}", file=sys.stderr)
            return UNIMPLEMENTED
        control.note(words[0])
        return commands[words[0]]()
    except (BadConfiguration, OSError) as error:
        print(f"ERROR [Launcher] {error}", file=sys.stderr)
        return ERROR


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
