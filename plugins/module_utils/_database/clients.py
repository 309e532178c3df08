# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the programs of PostgreSQL on the node: which are there, and what they can really do."""

from __future__ import annotations

import dataclasses
import glob
import os
import re
import typing as t

from .._deps import numbers
from .._process import Finished
from .error import DatabaseError

Run = t.Callable[..., Finished]
"""What starts a client: :func:`.._process.run`, or a test's own."""

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/pgsql-*/bin")
"""Where Debian, Red Hat and the sources put them."""

COMPRESSION = re.compile(r"(auto|none|(gzip|lz4|zstd)(:[0-9]{1,2})?)\Z")
UNREACHED = re.compile("connection to server|could not connect to server")
"""What libpq says when there is no server, from 14 on and before."""

DEFAULTS = {"zstd": "zstd:3", "lz4": "lz4", "gzip": "gzip:1", "none": "none"}


@dataclasses.dataclass(frozen=True)
class Client:
    """The programs of one version, in one folder."""

    folder: str
    version: str

    @property
    def major(self) -> int:
        """15 of 15.4."""
        return numbers(self.version)[0]

    def program(self, name: str) -> str:
        """The path of a program."""
        return os.path.join(self.folder, name)


def _folders(bin_dir: str | None) -> list[str]:
    if bin_dir:
        return [bin_dir]
    found = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    for place in PLACES:
        found += sorted(glob.glob(place))
    return list(dict.fromkeys(found))


def clients(run: Run, bin_dir: str | None = None) -> list[Client]:
    """Every client on the node, the oldest first. Debian's wrapper is left out: which version it starts may change."""
    found = []
    for folder in _folders(bin_dir):
        path = os.path.join(folder, "pg_dump")
        if not os.access(path, os.X_OK) or os.path.basename(os.path.realpath(path)) == "pg_wrapper":
            continue
        done = run([path, "--version"])
        match = re.search(r"\(PostgreSQL\) (\d[\w.]*)", done.stdout)
        if done.rc == 0 and match:
            found.append(Client(folder, match.group(1)))
    return sorted(found, key=lambda client: numbers(client.version))


def choose(run: Run, at_least: int, bin_dir: str | None, purpose: str, server: int = 0) -> Client:
    """The newest client of the server's major version, or of the one that is next to it and at least what is needed.

    The server's own major version is best: its dump can be restored by the same version again, while an archive of a
    newer client can't be read by an older one.

    :param server: the major version of a server that is restored to; a client that is older is better than a newer
    :param purpose: for the error, e.g. ``Dump of database 'nuxeo' on db1:5432``
    """
    there = clients(run, bin_dir)
    fit = [client for client in there if client.major >= at_least]
    if fit:
        best = [*[client for client in fit if client.major <= server][-1:], fit[0]][0]
        return [client for client in fit if client.major == best.major][-1]
    seen = ", ".join(f"{client.version} in {client.folder}" for client in there) or "none"
    raise DatabaseError(
        purpose,
        f"it needs the client programs of PostgreSQL {at_least} or newer, found: {seen}",
        f"Install the client package of PostgreSQL {at_least} on this host, or name its folder by bin_dir",
    )


def can_compress(run: Run, client: Client, method: str) -> bool:
    """Whether this build of pg_dump knows a method, by trying: a version number doesn't tell how it was built.

    pg_dump looks at the method before it connects, so it is sent to a place where no server can be. Before 16 it knows
    levels alone, and up to 14 it takes any other word for 0.
    """
    if client.major < 16 and method.partition(":")[0] not in ("gzip", "none"):
        return False
    words = [client.program("pg_dump"), f"--compress={_spec(client, method)}", "--no-password"]
    done = run([*words, "--file=/dev/null", "--dbname=host=/dev/null/none dbname=none"])
    return done.rc != 0 and "compress" not in done.stderr and bool(UNREACHED.search(done.stderr))


def _spec(client: Client, method: str) -> str:
    if client.major >= 16:
        return method
    name, _colon, level = method.partition(":")
    return {"none": "0", "gzip": level or "6"}.get(name, method)


def compression(run: Run, client: Client, wanted: str) -> tuple[str, str]:
    """The method and pg_dump's word for it. ``auto`` is zstd where the client really can, else a quick gzip."""
    if not COMPRESSION.match(wanted):
        raise DatabaseError(
            "Choice of the dump's compression",
            f"'{wanted}' is none",
            "Say auto, none, gzip, lz4 or zstd, the latter three with :LEVEL if you like",
        )
    if wanted == "auto":
        method = DEFAULTS["zstd"] if can_compress(run, client, DEFAULTS["zstd"]) else DEFAULTS["gzip"]
    else:
        method = DEFAULTS.get(wanted, wanted)
        if not can_compress(run, client, method):
            raise DatabaseError(
                f"Compression of the dump by '{wanted}'",
                f"pg_dump {client.version} in {client.folder} can't do it",
                "Say auto, or name another client by bin_dir",
            )
    return method, _spec(client, method)
