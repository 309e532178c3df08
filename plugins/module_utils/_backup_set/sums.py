# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: SHA256SUMS, in the form of coreutils, over every file of a set."""

from __future__ import annotations

import concurrent.futures
import os
import re
import stat
import threading
import typing as t

from .._files.at import READ, opened
from .._files.blocks import hash_bytes
from .._io import write_atomic
from .._progress import Progress
from .place import SetError

SUMS = "SHA256SUMS"
_LINE = re.compile(rb"(\\?)([0-9a-f]{64}) [ *](.+)", re.DOTALL)
_ESCAPES = {b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r"}
_UNESCAPES = {escape: byte for byte, escape in _ESCAPES.items()}


class Found(t.NamedTuple):
    """What lies in a folder, by paths relative to it (as ``os.fsdecode`` gives them)."""

    files: dict[str, int]
    """Regular files and their sizes."""
    links: dict[str, str]
    """Links and what they hold."""
    others: list[str]
    """Sockets, FIFOs and devices."""


def walk(folder: str) -> Found:
    """List all that lies in a folder; no link is followed."""
    found = Found({}, {}, [])

    def fail(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, onerror=fail):
        for name in [*names, *folders]:
            path = os.path.join(parent, name)
            inside = os.path.relpath(path, folder)
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode):
                found.files[inside] = status.st_size
            elif stat.S_ISLNK(status.st_mode):
                found.links[inside] = os.readlink(path)
            elif not stat.S_ISDIR(status.st_mode):
                found.others.append(inside)
    return found


def hash_all(
    folder: str, paths: t.Iterable[str], progress: Progress, jobs: int, sync: bool
) -> t.Iterator[tuple[str, int, str | OSError]]:
    """Read files, several at a time: path, size, and the SHA-256 or what went wrong.

    :param sync: also make each file owner-only and durable
    """
    lock = threading.Lock()
    done = [0]

    def step(count: int) -> None:
        with lock:
            done[0] += count
        progress.update(done[0])
        progress.check()

    def one(path: str) -> tuple[str, int, str | OSError]:
        try:
            with opened(os.path.join(folder, path), READ) as descriptor:
                if sync:
                    if os.fstat(descriptor).st_mode & 0o077:
                        os.fchmod(descriptor, 0o600)
                    os.fsync(descriptor)
                return (path, *hash_bytes(descriptor, step))
        except OSError as error:
            return path, 0, error

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(one, path) for path in paths]
        try:
            for future in waiting:
                yield future.result()
        finally:
            for future in waiting:
                future.cancel()


def default_jobs() -> int:
    """How many files are read at a time."""
    return max(1, min(4, os.cpu_count() or 1))


def line(digest: str, path: str) -> bytes:
    """One line, as sha256sum writes and reads it."""
    name = os.fsencode(path)
    escaped = re.sub(rb"[\\\n\r]", lambda match: _ESCAPES[match[0]], name)
    return (b"\\" if escaped != name else b"") + f"{digest}  ".encode() + escaped + b"\n"


def write_sums(folder: str, sums: t.Mapping[str, str]) -> None:
    """Write SHA256SUMS, sorted by path."""
    write_atomic(os.path.join(folder, SUMS), b"".join(line(sums[path], path) for path in sorted(sums)))


def read_sums(folder: str) -> dict[str, str]:
    """Read SHA256SUMS: path to digest."""
    path = os.path.join(folder, SUMS)
    sums = {}
    try:
        with open(path, "rb") as stream:
            lines = stream.read().split(b"\n")
    except OSError as error:
        raise SetError(f"Reading of '{path}'", str(error.strerror)) from error
    if lines.pop() != b"":
        raise SetError(f"Reading of '{path}'", "its last line is cut off", "Use another set")
    for number, text in enumerate(lines, 1):
        match = _LINE.fullmatch(text)
        if not match:
            raise SetError(f"Reading of '{path}'", f"line {number} is no line of sha256sum", "Use another set")
        name = match[3]
        if match[1]:
            name = re.sub(rb"\\[\\nr]", lambda escape: _UNESCAPES[escape[0]], name)
        sums[os.fsdecode(name)] = match[2].decode()
    return sums
