# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: messages between this host and the helper on a pool's host, over the pipes of ssh."""

from __future__ import annotations

import json
import os
import struct
import typing as t

from . import copier
from .errors import SourceError, Vanished

_HEAD = struct.Struct("<cIQ")
_GATHER = 1 << 18

Message = t.Tuple[bytes, bytes, bytes]

CALL, REPLY, ERROR = b"c", b"r", b"e"
"""A request by name, its answer, and an error: what, why, todo as JSON."""

CHUNK, LAST, BROKEN = b"k", b"l", b"x"
"""Parts of a blob, with its name and its digest's; or that it could not be read to its end, with the reason."""

BLOCK = 1 << 20
"""The largest part."""

GREETING = b"nuxeo.platform"
"""What the far side says before all else, so that nothing that its shell prints is taken for a message."""

_META = 1 << 26
_LARGEST = {CALL: 1 << 40, REPLY: 1 << 40, ERROR: 0, CHUNK: BLOCK, LAST: BLOCK, BROKEN: 0}
"""The most bytes beside a message's meta, by its kind: a list of names is as long as there are names in a folder."""


class Channel:
    """Reads and writes messages. Writes are gathered until :meth:`flush`, or until they are many."""

    def __init__(self, reader: t.IO[bytes], descriptor: int) -> None:
        self._reader = reader
        self._descriptor = descriptor
        self._parts: t.List[bytes] = []
        self._size = 0

    def send(self, kind: bytes, meta: bytes, payload: bytes = b"") -> None:
        self._parts += (_HEAD.pack(kind, len(meta), len(payload)), meta, payload)
        self._size += len(payload) + len(meta)
        if self._size > _GATHER:
            self.flush()

    def flush(self) -> None:
        data = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        self.send_raw(data)

    def send_raw(self, block: bytes) -> None:
        data = memoryview(block)
        while data:
            data = data[os.write(self._descriptor, data) :]

    def receive(self) -> Message:
        head = self._exactly(_HEAD.size)
        kind, meta, payload = _HEAD.unpack(head)
        if meta > _META or payload > _LARGEST.get(kind, -1):
            raise Garbled(head)
        return kind, self._exactly(meta), self._exactly(payload)

    def _exactly(self, size: int) -> bytes:
        data = self._reader.read(size) if size else b""
        if len(data) != size:
            raise EOFError
        return data

    def blocks(self, first: Message) -> t.Iterator[bytes]:
        """The bytes of one blob whose first message has been read."""
        kind, meta, payload = first
        while kind == CHUNK:
            yield payload
            kind, meta, payload = self.receive()
        if kind == BROKEN:
            raise BrokenBlob(meta.decode("utf-8", "replace"))
        yield payload

    def send_blob(self, descriptor: int, expected: int, meta: bytes) -> int:
        """Send what a file holds; its size. Its errors are told to the other side, and raised."""
        size = 0
        try:
            while True:
                want = min(max(expected - size, 0) + 1, BLOCK)
                block = copier.read(descriptor, want)
                size += len(block)
                if not block or (len(block) < want and size == expected):
                    self.send(LAST, meta, block)
                    return size
                self.send(CHUNK, meta, block)
        except (SourceError, Vanished) as error:
            self.send(BROKEN, str(error).encode() or b"it is gone")
            raise


class Garbled(EOFError):
    """What came is no message: where the next one begins cannot be known. It begins with the bytes that are given."""


class BrokenBlob(SourceError):
    """The other side could not read a blob to its end."""


def pack_names(names: t.Iterable[bytes]) -> bytes:
    return b"\n".join(names)


def unpack_names(payload: bytes) -> t.List[bytes]:
    return payload.split(b"\n") if payload else []


def pack_json(value: t.Any) -> bytes:
    return json.dumps(value).encode()
