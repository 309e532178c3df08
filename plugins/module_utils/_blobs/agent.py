# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the helper on a pool's host. Its source is sent over ssh; nothing is installed there.

It does what ``pool`` does on its own host, and hashes each blob that it is given before it gets its name. It ends when
its input does: when the run that started it has ended, however that was.
"""

from __future__ import annotations

import contextlib
import os
import signal
import typing as t

from .._errors import PlatformError
from . import aside, copier, holding, names, pool
from .errors import SourceError, Vanished, writing_failed
from .home import TEMPORARY, LocalHome
from .wire import BROKEN, CALL, ERROR, REPLY, BrokenBlob, Channel, Message, pack_json, pack_names, unpack_names

IDLE = 3600
"""Seconds without a request after which who holds the lock takes the other side for dead. Others may wait longer."""


class Agent:
    """Answers one connection."""

    def __init__(self, channel: Channel, pool_path: bytes) -> None:
        self.channel = channel
        self.pool = pool_path
        self.home = LocalHome(pool_path)
        self.copier: t.Optional[copier.Copier] = None
        self.rejected: t.List[t.Tuple[str, str]] = []

    def serve(self) -> None:
        """Until the end of the input. A run that was cut off loses its lock; what it has begun the next one clears."""
        with contextlib.suppress(EOFError):
            while True:
                signal.alarm(IDLE if self.home.lock else 0)
                message = self.channel.receive()
                signal.alarm(0)
                self._answer(message)

    def _answer(self, message: Message) -> None:
        try:
            if message[0] != CALL:
                self._put(message)
                return
            meta, payload = getattr(self, "on_" + message[1].decode())(message[2])
            self.channel.send(REPLY, pack_json(meta), payload)
        except PlatformError as error:
            self._fail(error)
        except OSError as error:
            self._fail(writing_failed(self.pool, error))
        self.channel.flush()

    def _fail(self, error: PlatformError) -> t.NoReturn:
        self.channel.send(ERROR, pack_json([error.what, error.why, error.todo]))
        self.channel.flush()
        raise EOFError

    # --- the pool as a whole; each answers a value for JSON, and bytes

    def on_look(self, _payload: bytes) -> t.Tuple[t.Any, bytes]:
        return self.home.look(), b""

    def on_begin(self, _payload: bytes) -> t.Tuple[t.Any, bytes]:
        return self.home.begin(), b""

    def on_sync(self, _payload: bytes) -> t.Tuple[None, bytes]:
        self.home.sync()
        return None, b""

    def on_end(self, _payload: bytes) -> t.Tuple[None, bytes]:
        self.home.end()
        return None, b""

    def on_ping(self, _payload: bytes) -> t.Tuple[None, bytes]:
        return None, b""

    def on_names(self, payload: bytes) -> t.Tuple[None, bytes]:
        return None, pack_names(holding.all_names(self.pool, payload))

    def on_folders(self, _payload: bytes) -> t.Tuple[None, bytes]:
        return None, pack_names(holding.folders(self.pool))

    def on_set_aside(self, payload: bytes) -> t.Tuple[None, bytes]:
        aside.set_aside(self.pool, unpack_names(payload))
        return None, b""

    # --- a worker's part

    def on_shelf(self, payload: bytes) -> t.Tuple[None, bytes]:
        self.copier = copier.Copier(self.pool, b"%s/%s/%s" % (self.pool, TEMPORARY, payload))
        return None, b""

    def on_lacking(self, payload: bytes) -> t.Tuple[None, bytes]:
        lacking = holding.local_look(self.pool)(unpack_names(payload[1:]), payload[:1] == b"1")
        return None, pack_names(sorted(lacking))

    def _put(self, first: Message) -> None:
        if first[0] == BROKEN:
            return  # not even its first byte could be read; the other side knows
        into = t.cast("copier.Copier", self.copier)
        name, dummy, algorithm = first[1].partition(b" ")
        path = names.pool_path(name)
        try:
            digest, size = into.receive(self.channel.blocks(first), algorithm.decode(), path)
        except BrokenBlob:
            return  # the other side knows
        if digest.encode() == name:
            into.place(path, size)
            return
        self.rejected.append((name.decode(), into.refuse(digest)))

    def on_commit(self, _payload: bytes) -> t.Tuple[t.Any, bytes]:
        t.cast("copier.Copier", self.copier).commit()
        rejected, self.rejected = self.rejected, []
        return rejected, b""

    # --- reading

    def on_get(self, payload: bytes) -> t.Tuple[None, bytes]:
        """Send blobs in the order asked for, then the answer."""
        for name in unpack_names(payload):
            try:
                descriptor, info = copier.open_blob(self.pool + b"/" + names.pool_path(name))
            except Vanished:
                self.channel.send(BROKEN, b"it is not there")
            except SourceError as error:
                self.channel.send(BROKEN, str(error).encode())
            else:
                try:
                    self.channel.send_blob(descriptor, info.st_size, name)
                except (SourceError, Vanished):
                    pass
                finally:
                    os.close(descriptor)
        return None, b""

    def on_hash(self, payload: bytes) -> t.Tuple[t.Any, bytes]:
        """For each ``name digest`` the digest and the size, or why there is none."""
        asked = [line.partition(b" ") for line in unpack_names(payload)]
        source = pool.LocalSource(self.pool)
        return list(source.digests([(name, algorithm.decode()) for name, dummy, algorithm in asked])), b""


def main(pool_path: bytes) -> None:
    """The helper's whole life, on its standard input and output."""
    os.umask(0o077)
    with open(0, "rb", buffering=1 << 20, closefd=False) as reader:
        Agent(Channel(reader, 1), pool_path).serve()
