# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes instances of the stand-in Nuxeo and drives them, for tests, the demo and the molecule scenarios.

In a program::

    login = {"host": "127.0.0.1", "port": 5432, "name": "nuxeo", "user": "nuxeo", "password": "secret"}
    instance = make_instance(tmp / "home", login, version="10.10")
    instance.start()
    instance.create_documents(20)

On the command line (all but HOME may be left out)::

    python3 tests/servers/nuxeo/instance.py HOME --version 10.10 --port 8080 --database '{"host": ...}'
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import typing as t
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

if __package__:
    from . import stock
    from .ports import free_port
else:
    import stock  # type: ignore[no-redef]
    from ports import free_port  # type: ignore[no-redef]

HERE = Path(__file__).resolve().parent

Login = t.Mapping[str, t.Union[str, int]]


class Instance:
    """One NUXEO_HOME of the stand-in."""

    def __init__(self, home: Path, conf: Path, port: int, data_dir: Path, store: Path) -> None:
        self.home = home
        self.conf = conf
        self.port = port
        self.data_dir = data_dir
        self.store = store
        self.url = f"http://127.0.0.1:{port}/nuxeo"
        self.ledger = home / "standin" / "ledger.jsonl"
        self.environment: dict[str, str] = {}

    @property
    def ctl(self) -> str:
        """The path of nuxeoctl."""
        return str(self.home / "bin" / "nuxeoctl")

    def nuxeoctl(self, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run nuxeoctl; it is not checked here."""
        environment = {**os.environ, "NUXEO_HOME": str(self.home), "NUXEO_CONF": str(self.conf), **self.environment}
        command = [self.ctl, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=timeout)

    def start(self) -> Instance:
        """Start the server, and wait until it serves."""
        done = self.nuxeoctl("start")
        if done.returncode:
            raise RuntimeError(f"the stand-in in {self.home} did not start: {done.stdout}{done.stderr}")
        return self

    def stop(self) -> None:
        """Stop the server."""
        done = self.nuxeoctl("stop")
        if done.returncode:
            raise RuntimeError(f"the stand-in in {self.home} did not stop: {done.stdout}{done.stderr}")

    @property
    def running(self) -> bool:
        """What nuxeoctl status says."""
        return self.nuxeoctl("status").returncode == 0

    def call(self, path: str, body: t.Any = None) -> t.Any:
        """Ask the server's interface for tests; POST when there is a body."""
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(f"{self.url}/{path}", data=data, timeout=120) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {error.code} {error.read().decode(errors='replace')}") from error

    def create_documents(self, count: int, size: int = 1000) -> list[str]:
        """Make documents with a blob each; their ids."""
        return list(self.call("standin/documents", {"count": count, "size": size}))

    def delete_documents(self, ids: t.Sequence[str]) -> None:
        """Remove the rows of documents."""
        self.call("standin/delete", {"ids": list(ids)})

    def write(self, rate: float) -> None:
        """Let the server make documents at a rate, in documents a second; 0 ends it."""
        self.call("standin/writer", {"rate": rate})

    def counts(self) -> dict[str, int]:
        """documents, audit, blobs and bad_blobs, as the server sees them."""
        return dict(self.call("standin/counts"))

    def wait_started(self, timeout: float = 60) -> None:
        """Wait until runningstatus says true."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/runningstatus?info=started", timeout=5) as answer:
                    if answer.read() == b"true":
                        return
            except (OSError, HTTPException):
                pass
            time.sleep(0.1)
        raise TimeoutError(f"{self.url} is not started")


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def _lay_out_home(home: Path, version: str, python: str) -> None:
    for name, text in stock.templates(version).items():
        _write(home / "templates" / name, text)
    programs = HERE / "program"
    (home / "bin" / "standin").mkdir(parents=True, exist_ok=True)
    for program in sorted(programs.glob("*")):
        if program.suffix in {".py", ".java"} and program.name != "nuxeoctl.py":
            shutil.copy(program, home / "bin" / "standin" / program.name)
    text = (programs / "nuxeoctl.py").read_text(encoding="utf-8")
    _write(home / "bin" / "nuxeoctl", f"#!{python}\n{text}", 0o755)
    for folder in ("log", "tmp", "packages", "nxserver/config", "nxserver/lib", "nxserver/plugins"):
        (home / folder).mkdir(parents=True, exist_ok=True)


def _lay_out_data(data: Path) -> None:
    """What a server leaves in its data folder beside blobs and H2."""
    schema = {"type": "record", "name": "Record", "namespace": "org.nuxeo.lib.stream.computation", "fields": []}
    _write(data / "avro" / "Record-0x5ae5c5a2b2a4b6e3.avsc", json.dumps(schema))
    _write(data / "instance.clid", f"{secrets.token_hex(18)}--{secrets.token_hex(18)}\nstand-in\n")
    _write(data / "stream" / "bulk" / "command" / "P-00" / "metadata.cq4t", "\0" * 4096)
    _write(data / "stream" / "bulk" / "command" / "P-00" / "20260101.cq4", "command".ljust(8192, "\0"))
    _write(data / "transientstores" / "default" / "upload.tmp", "not kept")
    _write(data / "convertcache" / "page.pdf", "not kept")
    (data / "binaries_transient_default" / "data").mkdir(parents=True, exist_ok=True)


def make_instance(
    home: str | Path,
    database: Login | None = None,
    version: str = "10.10",
    port: int | None = None,
    *,
    h2_jar: str | Path | None = None,
    address: str = "127.0.0.1",
    properties: t.Mapping[str, str] | None = None,
    python: str | None = None,
    bound: bool = True,
) -> Instance:
    """Lay out a NUXEO_HOME; nothing is started.

    :param database: host, port, name, user and password of a PostgreSQL database; None is embedded H2 (give ``h2_jar``)
    :param properties: further lines of nuxeo.conf; a folder here (nuxeo.data.dir, repository.binary.store) is used
    :param python: what runs nuxeoctl and the server; it needs psycopg2 for PostgreSQL
    :param bound: the server ends when this process has ended, however it ends
    """
    home = Path(home).absolute()
    port = port or free_port()
    more = dict(properties or {})
    _lay_out_home(home, version, python or sys.executable)
    text = stock.CONFIGURATION.format(
        templates="postgresql" if database else "default",
        address=address,
        port=port,
        status_key=secrets.token_hex(4),
    )
    if database:
        text += stock.DATABASE.format(**{**database, "password": str(database["password"]).replace("\\", "\\\\")})
    if bound:
        more.setdefault("standin.owner", str(os.getpid()))
    text += "\n## Of this instance\n" + "".join(f"{key}={value}\n" for key, value in more.items())
    conf = home / "bin" / "nuxeo.conf"
    _write(conf, text, 0o600)
    if h2_jar:
        shutil.copy(h2_jar, home / "nxserver" / "lib" / Path(h2_jar).name)
    data = home / more.get("nuxeo.data.dir", "nxserver/data")
    _lay_out_data(data)
    return Instance(home, conf, port, data, Path(more.get("repository.binary.store", str(data / "binaries"))))


def main(argv: t.Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Lay out a NUXEO_HOME of the stand-in.")
    parser.add_argument("home", type=Path)
    parser.add_argument("--version", default="10.10")
    parser.add_argument("--port", type=int)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--database", type=json.loads, help="JSON: host, port, name, user, password")
    parser.add_argument("--h2-jar")
    parser.add_argument("--python")
    parser.add_argument("--properties", type=json.loads, help="JSON: further lines of nuxeo.conf")
    args = parser.parse_args(argv)
    instance = make_instance(
        args.home,
        args.database,
        args.version,
        args.port,
        h2_jar=args.h2_jar,
        address=args.address,
        properties=args.properties,
        python=args.python,
        bound=False,
    )
    print(json.dumps({"home": str(instance.home), "conf": str(instance.conf), "url": instance.url}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
