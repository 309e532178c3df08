# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the list of a set's keys: a base that sets share, and what this one adds and removes.

See docs/blob-pool.md. All three are text, sorted by bytes (LC_ALL=C), one blob to a line, so that coreutils read them.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import mmap
import os
import re
import typing as t

from .._io import fsync_directory, remove_unfinished, replaced, write_atomic, write_json
from .errors import BlobError
from .text import WINDOW, Buffer, line_end, pieces, position, release

REBASE = 400_000
"""Bytes of added and removed lines from which on a set gets a base of its own."""

BLOCK = 4096


def _cost(lines: t.Iterable[bytes]) -> int:
    """The bytes of a text of these lines."""
    return sum(len(line) + 1 for line in lines)


def differences(old: Buffer, new: Buffer) -> t.Iterator[t.Tuple[t.List[bytes], t.List[bytes]]]:
    """The lines that only the second, and only the first of two sorted texts have, in order, some at a time."""
    at, done, size, upon = 0, 0, len(new), WINDOW
    while at < size:
        if at > upon:
            upon += WINDOW
            release(old)
            release(new)
        end = line_end(new, min(at + BLOCK, size - 1), size)
        block = bytes(new[at:end])
        if bytes(old[done : done + len(block)]) == block:
            done += len(block)
        else:
            last = block.rstrip(b"\n").rpartition(b"\n")[2]
            upto = position(old, last + b"\0", done)
            theirs = set(bytes(old[done:upto]).splitlines())
            ours = set(block.splitlines())
            yield sorted(ours - theirs), sorted(theirs - ours)
            done = upto
        at = end
    yield [], bytes(old[done:]).splitlines()


def difference(old: Buffer, new: Buffer, most: t.Optional[int] = None) -> t.Tuple[t.List[bytes], t.List[bytes]]:
    """All of these together; past ``most`` bytes not all."""
    added: t.List[bytes] = []
    removed: t.List[bytes] = []
    found = 0
    for more, less in differences(old, new):
        added += more
        removed += less
        found += _cost(more) + _cost(less)
        if most is not None and found > most:
            break
    return added, removed


def _text(lines: t.Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _sha256(text: Buffer) -> str:
    total = hashlib.sha256()
    for piece in pieces(text):
        total.update(piece)
    return total.hexdigest()


def keys_root(prefix: str) -> str:
    """Where the bases are: ``keys`` beside ``sets``, four levels above a set's list."""
    folder = prefix
    for _level in range(4):
        folder = os.path.dirname(folder)
    return os.path.join(folder, "keys")


def _mapped(path: str) -> t.Optional[Buffer]:
    """None when there is no such file."""
    try:
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            return mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ) if size else b""
    except FileNotFoundError:
        return None


def _choose_base(root: str, provider: str, hint: str, text: Buffer) -> t.Tuple[str, t.List[bytes], t.List[bytes]]:
    """The base that was used last, if it is sound and near enough; else a new one, which is the list itself."""
    if hint and "/" not in hint:
        base = _mapped(os.path.join(root, hint))
        if base is not None and hint == f"{provider}-{_sha256(base)}.txt":
            added, removed = difference(base, text, REBASE)
            if _cost(added) + _cost(removed) <= REBASE:
                return hint, added, removed
    name = f"{provider}-{_sha256(text)}.txt"
    path = os.path.join(root, name)
    there = _mapped(path)
    if there is None or _sha256(there) not in name:
        os.makedirs(root, mode=0o700, exist_ok=True)
        fsync_directory(os.path.dirname(root))
        remove_unfinished(root, rf"{re.escape(provider)}-[0-9a-f]{{64}}\.txt")
        with replaced(path) as stream:
            stream.writelines(pieces(text))
    return name, [], []


def write_list(prefix: str, about: t.Dict[str, t.Any], text: Buffer, hint: str) -> t.Dict[str, t.Any]:
    """Write a set's list: ``<prefix>.json``, ``.added`` and ``.removed``. Returns what the JSON holds."""
    base, added, removed = _choose_base(keys_root(prefix), str(about["provider"]), hint, text)
    os.makedirs(os.path.dirname(prefix), mode=0o700, exist_ok=True)
    write_atomic(f"{prefix}.added", _text(added))
    write_atomic(f"{prefix}.removed", _text(removed))
    said = {**about, "format": 1, "base": f"keys/{base}", "base_sha256": base[-68:-4], "list_sha256": _sha256(text)}
    write_json(f"{prefix}.json", said)
    fsync_directory(os.path.dirname(prefix))
    return said


def read_about(prefix: str) -> t.Dict[str, t.Any]:
    """The JSON part of a set's list."""
    path = f"{prefix}.json"
    try:
        with open(path, "rb") as stream:
            said = json.load(stream)
        if said["format"] != 1:
            raise ValueError(f"its format is {said['format']}, this version reads 1")
        if not all(isinstance(said[name], str) for name in ("base", "list_sha256")):
            raise ValueError("base or list_sha256 is no text")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BlobError(f"Reading of key list '{path}'", str(error), "Take another set") from error
    return t.cast("t.Dict[str, t.Any]", said)


def read_lines(prefix: str) -> t.Iterator[bytes]:
    """The lines of a set's list, in order. What is read is proven at the end: a wrong list raises."""
    said = read_about(prefix)
    base = os.path.join(os.path.dirname(keys_root(prefix)), said["base"])
    total = hashlib.sha256()
    try:
        with open(f"{prefix}.removed", "rb") as stream:
            gone = set(stream)
        with open(f"{prefix}.added", "rb") as more, open(base, "rb") as stream:
            kept = (line for line in stream if line not in gone) if gone else stream
            for line in heapq.merge(kept, more):
                total.update(line)
                yield line[:-1]
    except OSError as error:
        raise BlobError(f"Reading of key list '{prefix}'", str(error), "Take another set") from error
    if total.hexdigest() != said["list_sha256"]:
        raise BlobError(
            f"Reading of key list '{prefix}'",
            f"with its base '{base}' it does not give the list that was recorded (SHA-256 {said['list_sha256']})",
            "Take another set, or bring the base back",
        )


def last_count(prefix: str) -> int:
    """How many blobs the newest complete set has for this store; 0 when there is none."""
    sets = os.path.dirname(os.path.dirname(os.path.dirname(prefix)))
    provider = os.path.basename(prefix)
    try:
        found = sorted(name for name in os.listdir(sets) if not name.startswith("."))
    except OSError:
        return 0
    for name in reversed(found):
        try:
            return int(read_about(os.path.join(sets, name, "blobs", provider))["keys"])
        except (BlobError, KeyError, ValueError, TypeError):
            continue
    return 0
