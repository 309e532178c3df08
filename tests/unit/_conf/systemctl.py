# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for systemctl, and for the server that it starts."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from ansible_collections.nuxeo.platform.plugins.module_utils._conf.process import BOOTSTRAP
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.resolve import resolve
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.service import Service

SERVER = """
import http.server, sys, threading

class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open(sys.argv[2], "a+") as asked:
            asked.write(self.path + "\\n")
            asked.seek(0)
            count = len(asked.readlines())
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"true\\n" if count > 2 else b"false\\n")

    def log_message(self, *arguments):
        pass

server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answers)
threading.Thread(target=server.serve_forever, daemon=True).start()
input()
"""
"""Says ``false`` twice, then ``true``, and ends when who has started it does."""


class Systemctl:
    """Starts a process that looks like a server, and stops it, or only says so."""

    def __init__(self, conf: Path, honest: bool = True) -> None:
        self.conf = conf
        self.port = conf.read_text().splitlines()[0].partition("=")[2]
        self.honest = honest
        self.state = "loaded"
        self.active = "inactive"
        self.calls: list[list[str]] = []
        self.child: subprocess.Popen[bytes] | None = None

    def __call__(self, argv: list[str], environment: dict[str, str] | None) -> tuple[int, str, str]:
        assert environment is None  # a unit brings its own
        self.calls.append(argv)
        if argv[1] == "show":
            told = {"LoadState": self.state, "ActiveState": self.active}
            name = argv[2].partition("=")[2]
            return 0, f"{name}={told[name]}\n", ""
        if argv[1] == "restart" or (argv[1] == "start" and self.active != "active" and self.honest):
            words = [sys.executable, "-c", SERVER, self.port, str(self.conf.with_name("asked"))]
            words += [f"-Dnuxeo.conf={self.conf}", BOOTSTRAP, "start"]
            self.child = subprocess.Popen(words, stdin=subprocess.PIPE)
            while not Path(f"/proc/{self.child.pid}/cmdline").read_bytes():  # the kernel has not got that far yet
                time.sleep(0.001)
        elif argv[1] == "stop" and self.honest and self.child:
            self.child.kill()
            self.child.wait()
        return 0, "", ""


def service(conf: Path, run: Systemctl, timeout: float) -> Service:
    return Service("nuxeo.service", resolve(str(conf), str(conf.parent.parent), {}, "2023"), run, timeout)
