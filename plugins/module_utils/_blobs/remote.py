# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a pool on another host, reached over ssh. No byte of it passes through the controller."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import tempfile
import time
import typing as t

from .. import _errors
from . import agent, aside, copier, disk, errors, generation, holding, home, lock, names, pool, waiting, wire
from .copier import Copier, hash_file, open_blob
from .errors import BlobError, SourceError
from .pool import Digest, Rejected, Took, as_error
from .waiting import Group
from .wire import CALL, ERROR, GREETING, REPLY, Channel, Garbled, Message, pack_names, unpack_names

_PARTS = (_errors, names, errors, generation, lock, disk, waiting, holding, copier, aside, home, pool, wire, agent)
"""Imported by name, so that Ansible sends them along with the module."""

_START = (
    f'python3 -IS -c \'import os;os.write(1,b"{GREETING.decode()}");'
    'r=lambda n,b=b"":b if len(b)==n else r(n,b+(os.read(0,n-len(b)) or exit(3)));'
    "exec(r(int(r(10))))'"
)
"""What the shell of the far side is given: the same for all. It greets, reads the length of a program, and that."""

_PRINTED = 200
"""How much of what is no greeting is told."""

_LOADER = """
import importlib.machinery, importlib.util, json, sys
if sys.version_info < (3, 9):
    sys.exit("its python3 is %d.%d, not 3.9 or newer" % sys.version_info[:2])
class Sources:
    def find_spec(self, name, path=None, target=None):
        if name in SOURCES:
            return importlib.machinery.ModuleSpec(name, LAZY, is_package=not SOURCES[name])
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        exec(compile(SOURCES[module.__name__], module.__name__, "exec"), module.__dict__)
SOURCES = json.loads(TEXT)
FROM = Sources()
LAZY = importlib.util.LazyLoader(FROM)
sys.meta_path.insert(0, FROM)
from nuxeo_blobs._blobs.agent import main
main(POOL)
"""
"""A module is compiled when something of it is used: a run in which nothing is new, which waits for that, needs few."""


def program(pool_path: bytes) -> bytes:
    """The source of the helper for a pool, as one program."""
    package = __name__.rpartition(".")[0].rpartition(".")[0]
    sources = {"nuxeo_blobs": "", "nuxeo_blobs._blobs": ""}
    for module in _PARTS:
        loader = t.cast(t.Any, module.__spec__).loader  # of a file, of Ansible's archive, or Ansible's own
        sources["nuxeo_blobs" + module.__name__[len(package) :]] = loader.get_data(module.__file__).decode()
    return f"POOL = {pool_path!r}\nTEXT = {json.dumps(sources)!r}\n{_LOADER}".encode()


PING = 60.0
"""Seconds after which the far side, which holds the lock, is told that this run lives."""


WAITS = (1, 2, 4, 8, 16)
"""Seconds, at most, before the next attempts to connect: sshd drops some of many that have not logged in yet."""


class Connection:
    """One helper on the far side. Made in the process that uses it."""

    def __init__(self, host: str, path: bytes, rsh: t.Sequence[str]) -> None:
        self.host = host
        self.ready = False
        """Whether the helper has its program, and ends when it is told nothing more."""
        self._begun = False
        self._argv = [*rsh, host, _START]
        self._connect()
        self._program = program(path)

    def _connect(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        there, feed = os.pipe()
        back, answer = os.pipe()
        actions = [(os.POSIX_SPAWN_DUP2, there, 0), (os.POSIX_SPAWN_DUP2, answer, 1)]
        actions.append((os.POSIX_SPAWN_DUP2, self._errors.fileno(), 2))
        argv, defaults = self._argv, [signal.SIGPIPE]
        try:
            self._pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions, setsigdef=defaults)
        except OSError as error:
            why = f"{argv[0]}: {error.strerror}"
            raise BlobError(f"Connection to '{self.host}'", why, "Install it, or set rsh") from error
        finally:
            os.close(there)
            os.close(answer)
        self._feed = feed
        self._reader = open(back, "rb", buffering=1 << 20)  # noqa: SIM115 - closed by close()
        self.channel = Channel(self._reader, feed)

    @property
    def connecting(self) -> bool:
        """Whether the helper has not said a word yet, nor hung up."""
        return not self._begun and not select.select([self._reader], [], [], 0)[0]

    def _begin(self) -> None:
        """Give the helper its program, before the first request: this side has other work while ssh connects."""
        if self._begun:
            return
        self._begun = True
        with self._talking():
            for wait in (*WAITS, 0):
                if self._greeted():
                    break
                if not (wait and self._dropped):
                    raise EOFError
                self.close()
                time.sleep(wait * (1 + os.urandom(1)[0] / 255) / 2)  # others were dropped in this moment, too
                self._connect()
            self.channel.send_raw(b"%010d" % len(self._program) + self._program)
        self.ready = True

    @contextlib.contextmanager
    def _talking(self) -> t.Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._read_error()
        except Garbled as error:
            self._printed(error.args[0])
        except EOFError:
            self._lost()

    def _greeted(self) -> bool:
        """Wait for the helper's first word, and for nothing after what is no part of it: that may be all that comes.

        Nothing may come behind it either: the helper has been asked nothing yet. False when the connection has ended.
        """
        said = b""
        while said != GREETING:
            more = os.read(self._reader.fileno(), _PRINTED)
            if not more:
                return False
            said += more
            if not GREETING.startswith(said):
                raise Garbled(said.replace(GREETING, b""))
        return True

    def _said(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-400:].decode("utf-8", "replace").strip().replace("\n", " ")

    @property
    def _dropped(self) -> bool:
        """Whether sshd has hung up before it heard who this is. Of a host on the way ssh would say more before that."""
        first, _colon, why = self._said().partition("_exchange_identification: ")
        return first in ("kex", "ssh") and ("reset by peer" in why or "closed by remote host" in why)

    def _printed(self, said: bytes) -> t.NoReturn:
        raise BlobError(
            f"Connection to '{self.host}'",
            f"its shell printed '{names.shown(said.strip())}'",
            "Let its shell print nothing when no terminal is there",
        )

    def _read_error(self) -> t.NoReturn:
        """What the other side has said before it hung up."""
        with contextlib.suppress(EOFError):
            while True:
                self._check(self.channel.receive())
        self._lost()

    @staticmethod
    def _check(message: Message) -> None:
        if message[0] == ERROR:
            raise BlobError(*json.loads(message[1]))

    def _lost(self) -> t.NoReturn:
        todo = "Let this user reach that host by ssh without a password, with python3 there, of 3.9 or newer"
        if self._dropped:
            todo = "Raise MaxStartups of its sshd, or set fewer jobs"
        why = f"it ended: {self._said() or 'without a word'}"
        raise BlobError(f"Connection to '{self.host}'", why, f"{todo}; what is copied stays")

    def call(self, name: str, payload: bytes = b"") -> t.Tuple[t.Any, bytes]:
        """Ask, and wait for the answer."""
        self._begin()
        with self._talking():
            self.ask(name, payload)
            return self.answer(self.channel.receive())
        raise AssertionError  # _talking raises

    def ask(self, name: str, payload: bytes) -> None:
        self.channel.send(CALL, name.encode(), payload)
        self.channel.flush()

    def answer(self, message: Message) -> t.Tuple[t.Any, bytes]:
        self._check(message)
        if message[0] != REPLY:
            raise BlobError(f"Connection to '{self.host}'", "an answer was expected", "Run again")
        return json.loads(message[1]), message[2]

    def put(self, descriptor: int, size: int, meta: bytes) -> int:
        """Send a blob."""
        self._begin()
        with self._talking():
            return self.channel.send_blob(descriptor, size, meta)
        raise AssertionError  # _talking raises

    def get(self, wanted: t.Sequence[bytes], take: t.Callable[[bytes, t.Iterator[bytes]], None]) -> None:
        """Ask for blobs; each is taken in turn. ``take`` reads all blocks."""
        self._begin()
        with self._talking():
            self.ask("get", pack_names(wanted))
            for name in wanted:
                first = self.channel.receive()
                self._check(first)
                take(name, self.channel.blocks(first))
            self.answer(self.channel.receive())

    def close(self) -> None:
        """Hang up, and wait for ssh to end."""
        if not self._pid:  # done, and the next attempt could not even begin
            return
        os.close(self._feed)
        self._reader.close()
        self._errors.close()
        if not self.ready:  # what is there instead of the helper may go on for ever
            os.kill(self._pid, signal.SIGTERM)
        os.waitpid(self._pid, 0)
        self._pid = 0


class RemoteHome:
    """A pool on another host as a whole."""

    remote = True

    def __init__(self, host: str, path: bytes, rsh: t.Sequence[str]) -> None:
        self.connection = Connection(host, path, rsh)
        self._spoke = time.monotonic()

    @property
    def connecting(self) -> bool:
        return self.connection.connecting

    def look(self) -> t.Dict[str, t.Any]:
        return t.cast("t.Dict[str, t.Any]", self.connection.call("look")[0])

    def begin(self) -> t.Dict[str, t.Any]:
        return t.cast("t.Dict[str, t.Any]", self.connection.call("begin")[0])

    def sync(self) -> None:
        self.connection.call("sync")

    def ping(self) -> None:
        if time.monotonic() - self._spoke > PING:
            self._spoke = time.monotonic()
            self.connection.call("ping")

    def lacking(self, wanted: t.Sequence[bytes]) -> t.Set[bytes]:
        return set(unpack_names(self.connection.call("lacking", b"0" + pack_names(wanted))[1]))

    def all_names(self) -> t.Iterator[bytes]:
        for folder in unpack_names(self.connection.call("folders")[1]):
            yield from unpack_names(self.connection.call("names", folder)[1])

    def set_aside(self, rotten: t.Sequence[bytes]) -> None:
        self.connection.call("set_aside", pack_names(rotten))

    def end(self) -> None:
        if self.connection.ready:
            with contextlib.suppress(BlobError):  # it may be what has failed
                self.connection.call("end")
        self.connection.close()


class RemoteShelf:
    """A worker's part of a pool on another host. What is wrong is known at the commit."""

    def __init__(self, connect: t.Callable[[], Connection], number: int) -> None:
        self._connect = connect
        self._number = number
        self._connection: t.Optional[Connection] = None
        self._waits = False
        """Whether something was sent that has no name yet."""
        self._group = Group()
        self.named = 0

    @property
    def connection(self) -> Connection:
        """Made when there is something to say: a pass in which nothing is new says nothing."""
        if self._connection is None:
            self._connection = self._connect()
            self._connection.call("shelf", b"%d" % self._number)
        return self._connection

    def lacking(self, wanted: t.Sequence[bytes], full: bool) -> t.Set[bytes]:
        return look(self.connection, wanted, full)  # what was sent may turn out wrong: of two of one name both are sent

    def copy(self, source: bytes, name: bytes, algorithm: str) -> int:
        descriptor, info = open_blob(source)
        try:
            size = self.connection.put(descriptor, info.st_size, name + b" " + algorithm.encode())
        finally:
            os.close(descriptor)
        self._waits = True
        self._group.add(size)
        return size

    def store(self, source: bytes) -> t.Tuple[bytes, int]:
        name = hash_file(source, "sha256")[0].encode()
        return name, self.copy(source, name, "sha256")

    @property
    def full(self) -> bool:
        return self._group.full

    @property
    def last(self) -> int:
        return self.named if self._waits else self.named - 1

    def advance(self) -> Rejected:
        return self.commit() if self._group.full else []

    def commit(self) -> Rejected:
        if not self._waits:
            return []
        rejected = self.connection.call("commit")[0]
        self._waits = False
        self._group.clear()
        self.named += 1
        return [(name.encode(), why) for name, why in rejected]


def look(connection: Connection, wanted: t.Sequence[bytes], full: bool) -> t.Set[bytes]:
    """What a pool on another host lacks, as :meth:`pool.Shelf.lacking`."""
    return set(unpack_names(connection.call("lacking", b"01"[full : full + 1] + pack_names(wanted))[1]))


class RemoteLook:
    """The same, over a connection that is made when there is something to ask."""

    def __init__(self, connect: t.Callable[[], Connection]) -> None:
        self._connect = connect
        self._connection: t.Optional[Connection] = None

    def __call__(self, wanted: t.Sequence[bytes], full: bool) -> t.Set[bytes]:
        if self._connection is None:
            self._connection = self._connect()
        return look(self._connection, wanted, full)


class RemoteSource:
    """A pool on another host, to be read by one worker."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def fetch(
        self,
        wanted: t.Sequence[t.Tuple[bytes, str]],
        copier: t.Optional[Copier],
        took: Took,
    ) -> None:
        """Copy blobs to temporary files; tell of each its digest and size, or why there are none."""
        algorithms = dict(wanted)
        if copier is None:
            for (name, _algorithm), digest in zip(wanted, self.digests(wanted)):
                took(name, as_error(digest))
            return

        def take(name: bytes, blocks: t.Iterator[bytes]) -> None:
            try:
                said: t.Union[t.Tuple[str, int], SourceError] = copier.receive(blocks, algorithms[name])
            except SourceError as error:
                said = error
            took(name, said)

        self.connection.get([name for name, _algorithm in wanted], take)

    def digests(self, wanted: t.Sequence[t.Tuple[bytes, str]]) -> t.List[Digest]:
        """The digest and size of each, read on its own host; why not; None when it is missing."""
        lines = [name + b" " + algorithm.encode() for name, algorithm in wanted]
        said = self.connection.call("hash", pack_names(lines))[0]
        return [(each[0], each[1]) if isinstance(each, list) else each for each in said]
