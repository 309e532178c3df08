# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what a pass leaves for the next one. A cache: without it a pass lists every folder.

One file: a header of 4096 bytes (JSON, checked by a CRC), the folders (paths, modification and change times, where
their lines end) and the lines, one blob each, in the order of the folders. It is mapped, not read: a pass over a store
in which nothing is new touches the folders' part only.
"""

from __future__ import annotations

import array
import contextlib
import json
import mmap
import os
import secrets
import typing as t
import zlib

from .._io import write_atomic

HEADER = 4096
FORMAT = 1
UNTRUSTED = -1
"""The time of a folder that must be listed again."""

Buffer = t.Union[bytes, mmap.mmap]


class Folder(t.NamedTuple):
    """A folder as a pass found it."""

    modified: int
    changed: int
    lines: bytes
    """Each ends in a newline; sorted."""


class State:
    """The state of the last pass, or an empty one."""

    def __init__(self) -> None:
        self.header: t.Dict[str, t.Any] = {}
        self.paths: t.List[bytes] = []
        self.modified = array.array("q")
        self.changed = array.array("q")
        self.ends = array.array("q")
        self.text: Buffer = b""
        self.start = 0

    def lines(self, index: int) -> bytes:
        """The lines of one folder."""
        first = self.ends[index - 1] if index else 0
        return bytes(self.text[self.start + first : self.start + self.ends[index]])


def _times(raw: bytes) -> array.array[int]:
    values = array.array("q")
    values.frombytes(raw)
    return values


def load(path: str) -> State:
    """Read a state; one that is missing, torn or of another format gives an empty one."""
    state = State()
    try:
        with open(path, "rb") as stream:
            text = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return state
    try:
        checksum, body = bytes(text[:HEADER]).split(b"\n", 1)
        body = body.rstrip(b"\0")
        header = json.loads(body)
        sizes = header["sizes"]
        whole = int(checksum, 16) == zlib.crc32(body) and header["format"] == FORMAT
        if not whole or len(text) != HEADER + sum(sizes):
            return state
    except (ValueError, KeyError, TypeError):
        return state
    at = [HEADER]
    for size in sizes:
        at.append(at[-1] + size)
    folders = bytes(text[at[0] : at[1]])
    state.paths = folders.split(b"\n") if header["folders"] else []
    state.modified, state.changed, state.ends = (_times(bytes(text[at[n] : at[n + 1]])) for n in (1, 2, 3))
    state.text, state.start, state.header = text, at[4], header
    return state


def _pack(header: t.Dict[str, t.Any]) -> bytes:
    body = json.dumps(header).encode()
    packed = f"{zlib.crc32(body):08x}\n".encode() + body
    if len(packed) > HEADER:
        raise ValueError("the header of the state does not fit")
    return packed.ljust(HEADER, b"\0")


def rewrite_header(path: str, state: State, header: t.Dict[str, t.Any]) -> None:
    """Replace the header alone: one write within one page. Only for a state whose folders stay as they are."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        os.pwrite(
            descriptor,
            _pack({**header, "format": FORMAT, "sizes": state.header["sizes"], "folders": len(state.paths)}),
            0,
        )
    finally:
        os.close(descriptor)


def write(path: str, old: State, changed: t.Mapping[bytes, t.Optional[Folder]], header: t.Dict[str, t.Any]) -> None:
    """Write the state that follows from an old one and the folders that changed (None: gone).

    Not synced: after a crash of the host the boot id differs, and the state is not trusted.
    """
    known = {name: index for index, name in enumerate(old.paths)} if changed else {}
    paths = sorted({*old.paths, *changed} - {name for name, folder in changed.items() if folder is None})
    modified, ctimes, ends = array.array("q"), array.array("q"), array.array("q")
    end = 0
    for name in paths:
        folder = changed.get(name)
        if folder is None:
            index = known[name] if known else len(ends)
            modified.append(old.modified[index])
            ctimes.append(old.changed[index])
            end += old.ends[index] - (old.ends[index - 1] if index else 0)
        else:
            modified.append(folder.modified)
            ctimes.append(folder.changed)
            end += len(folder.lines)
        ends.append(end)
    parts = [b"\n".join(paths), modified.tobytes(), ctimes.tobytes(), ends.tobytes()]
    sizes = [len(part) for part in parts] + [end]
    temporary = f"{path}.{secrets.token_hex(4)}.tmp"
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb", 1 << 20) as stream:
            stream.write(_pack({**header, "format": FORMAT, "sizes": sizes, "folders": len(paths)}))
            for part in parts:
                stream.write(part)
            for name in paths:
                folder = changed.get(name)
                stream.write(folder.lines if folder is not None else old.lines(known[name]) if known else b"")
            if not known:
                stream.write(old.text[old.start :])
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def read_base(path: str) -> str:
    """The name of the key list that the last set was built on; empty when it is not known."""
    try:
        with open(f"{path}.base", encoding="utf-8") as stream:
            return stream.read(1000)
    except OSError:
        return ""


def write_base(path: str, name: str) -> None:
    """Remember the key list that the last set was built on."""
    if read_base(path) != name:
        write_atomic(f"{path}.base", name.encode())
