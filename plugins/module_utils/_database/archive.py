# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a dump in pg_dump's directory format, looked at from outside: is all of it there?"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import typing as t

from .._io import fsync_directory
from .clients import Client, Run
from .error import DatabaseError, hint, told

ENTRY = re.compile(r"(\d+); (\d+) (\d+) (.*)")
HEADER = re.compile(r"; +([A-Z][A-Za-z _]+): (.*)")


def _string(text: bytes) -> bytes:
    """As it stands in a table of contents: no sign, its length, itself."""
    return b"\0" + len(text).to_bytes(4, "little") + text


_NAME = _string(b"SEARCHPATH")
_NOWHERE = _string(b"SELECT pg_catalog.set_config('search_path', '', false);\n")
LOOKS = re.compile(b"(" + re.escape(_NAME + _NAME) + rb"\0.\0{3})" + re.escape(_NOWHERE), re.DOTALL)
"""The entry, and its section, by which each session of pg_restore begins. pg_dump up to 10.2 writes none."""


@dataclasses.dataclass(frozen=True)
class Archive:
    """The table of contents as pg_restore prints it."""

    folder: str
    header: t.Mapping[str, str]
    entries: t.Tuple[t.Tuple[int, int, str], ...]
    """Number in the archive, object id, and what it is."""

    def of_kind(self, kind: str) -> list[tuple[int, int, str]]:
        """The entries of one kind, e.g. ``TABLE DATA``."""
        return [entry for entry in self.entries if entry[2].startswith(f"{kind} ")]

    @property
    def dumped_by(self) -> str:
        """The version of pg_dump that wrote it."""
        return self.header.get("Dumped by pg_dump version", "0").split(" ")[0]


def read(run: Run, client: Client, folder: str) -> Archive:
    """Let pg_restore read the table of contents."""
    done = run([client.program("pg_restore"), "--list", folder])
    if done.rc or done.stderr.strip():
        raise DatabaseError(
            f"Reading of the archive '{folder}' by pg_restore {client.version}",
            told(done.stderr) or f"it ended with code {done.rc}",
            hint(done.stderr, "If the client is older than the one that made the archive, name a newer one by bin_dir"),
        )
    header, entries = {}, []
    for line in done.stdout.splitlines():
        note, entry = HEADER.match(line), ENTRY.match(line)
        if note:
            header[note.group(1)] = note.group(2)
        elif entry:
            entries.append((int(entry.group(1)), int(entry.group(3)), entry.group(4)))
    return Archive(folder, header, tuple(entries))


def large_objects(folder: str) -> int:
    """How many large objects the archive lists."""
    count = 0
    for name in os.listdir(folder):
        if re.match(r"blobs(_\d+)?\.toc\Z", name):
            with open(os.path.join(folder, name), encoding="utf-8") as stream:
                count += sum(1 for line in stream if line.strip())
    return count


def problems(archive: Archive, with_data: t.Mapping[int, str], may_have: t.Container[int], objects: int) -> list[str]:
    """What is missing in an archive.

    :param with_data: the tables whose data must be in it: object id to name
    :param may_have: tables that may be in it too (those that belong to an extension)
    :param objects: how many large objects there were
    """
    found = {oid: number for number, oid, _what in archive.of_kind("TABLE DATA")}
    names = set(os.listdir(archive.folder))
    missing = sorted(name for oid, name in with_data.items() if oid not in found)
    strange = sorted(str(oid) for oid in found if oid not in with_data and oid not in may_have)
    files = sorted(
        name
        for oid, name in with_data.items()
        if oid in found and not _has_file(archive.folder, names, f"{found[oid]}.dat")
    )
    said = []
    for what, which in (
        ("the data of these tables is not in it", missing),
        ("these tables have no file", files),
        ("it has data of tables that were not there", strange),
    ):
        if which:
            said.append(f"{what}: {', '.join(which[:10])}" + (" ..." if len(which) > 10 else ""))
    there = large_objects(archive.folder)
    if there != objects:
        said.append(f"it has {there} large objects of {objects}")
    return said


def _has_file(folder: str, names: t.Container[str], name: str) -> bool:
    there = next((name + suffix for suffix in ("", ".gz", ".zst", ".lz4") if name + suffix in names), None)
    return there is not None and os.path.getsize(os.path.join(folder, there)) > 0


def looking(archive: str, folder: str, path: str) -> str:
    """Lay the table of contents of an archive into a folder, so that sessions look in these schemas; its name there.

    As pg_dump writes it they look in none, and what a function names without its schema is not found: no index and no
    view that calls it can be restored. Whatever a dump itself names, it names with the schema. There is no data: links
    to it are refused from the releases of 2026 on.
    """
    made = os.path.join(folder, "dump")
    os.makedirs(made, mode=0o700, exist_ok=True)
    quoted = path.replace("'", "''")
    setting = f"SELECT pg_catalog.set_config('search_path', '{quoted}', false);\n"
    with open(os.path.join(archive, "toc.dat"), "rb") as before, open(os.path.join(made, "toc.dat"), "wb") as after:
        after.write(LOOKS.sub(lambda found: found.group(1) + _string(setting.encode()), before.read(), count=1))
    return made


def size(folder: str) -> int:
    """The bytes of all files in the folder; those that vanish meanwhile count nothing."""
    total = 0
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                total += entry.stat(follow_symlinks=False).st_size
    return total


def make_durable(folder: str) -> None:
    """Every file and the folder itself on disk, readable by their owner only."""
    with os.scandir(folder) as entries:
        for entry in entries:
            descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.fchmod(descriptor, 0o600)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    os.chmod(folder, 0o700)  # noqa: S103
    fsync_directory(folder)
