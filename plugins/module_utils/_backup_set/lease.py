# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: one run at a time for an instance, and none that needs a hand after it was killed.

The lease is a file, since no process lives from the first task of a run to its last. Whose it is, is decided under a
lock of the operating system that is held for moments only. A run that lost its lease also lost the folder it writes to.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import time
import typing as t

from .._files.at import opened
from .._io import fsync_directory, write_atomic, write_json
from .controller import Identity, is_same, sees
from .place import ABANDONED, BEAT, Place, SetError

_LOCK_WAIT = 60.0


@dataclasses.dataclass
class Lease:
    """Who is running; ``age`` is the time since the last ``sign`` of life, by the clock of the file system."""

    run_id: str
    value: dict[str, t.Any]
    age: float
    sign: float

    @property
    def who(self) -> str:
        """The run in words, for messages."""
        return in_words(self.run_id, self.value)

    def describe(self) -> dict[str, t.Any]:
        """For results and messages."""
        return {**self.value, "run_id": self.run_id, "last_sign_of_life": round(self.age, 1)}


def in_words(run_id: str, value: t.Mapping[str, t.Any]) -> str:
    """A run by what its lease holds, which another may have written."""
    controller = value.get("controller") or {}
    user, host = (controller.get(key, "unknown") for key in ("user", "host"))
    return f"run {run_id or 'unknown'} of user '{user}' on '{host}' (process {controller.get('pid', '?')})"


@contextlib.contextmanager
def locked(place: Place, wait: float = _LOCK_WAIT) -> t.Iterator[None]:
    """Hold the instance's lock: for looking at the lease and changing it, never for work."""
    descriptor = os.open(place.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EINTR):
                    raise SetError(
                        f"Lock of '{place.lock}'", f"{error.strerror}", "Use a file system with locks"
                    ) from error
                if time.monotonic() > until:
                    raise SetError(f"Lock of '{place.lock}'", f"another process has it since {wait:.0f} s") from error
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)  # which releases the lock; so does the death of this process


def read(place: Place, mend: bool = False) -> Lease | None:
    """The present lease, None when there is none.

    :param mend: for one who may take the place: set signs of life from the future (a clock was set back) to now, so
        that they grow old from now on. Without it no sign is touched.
    """
    try:
        with open(place.lease, encoding="utf-8") as stream:
            value = json.load(stream)
        run_id = str(value["run_id"])
        if "/" in run_id:  # it is to be a part of a name
            raise ValueError(run_id)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):  # never written by us: the age decides
        value, run_id = {}, ""
    try:
        now = _now(place)
    except OSError:
        if mend:
            raise
        now = time.time()  # who may write nothing has no other clock than this host's
    sign = _last_sign(place, run_id, now, mend)
    return Lease(run_id, value, now - min(sign, now), sign)


def _last_sign(place: Place, run_id: str, now: float, mend: bool) -> float:
    partial = place.partial(run_id)
    signs = [place.lease, partial]
    with contextlib.suppress(OSError):
        signs += [os.path.join(partial, name) for name in os.listdir(partial) if BEAT.fullmatch(name)]
    times = []
    for sign in signs:
        with contextlib.suppress(OSError):
            found = os.stat(sign).st_mtime
            if found > now and mend:
                os.utime(sign, (now, now))
                found = now
            times.append(found)
    return max(times, default=0.0)


def _now(place: Place) -> float:
    """The time by the clock that also gives files their times, which on a network file system is another host's."""
    with contextlib.suppress(OSError), opened(place.folder, os.O_TMPFILE | os.O_RDWR) as nameless:  # leaves no trace
        return os.fstat(nameless).st_mtime
    os.utime(place.lock, follow_symlinks=False)  # NFS has no such files
    return os.lstat(place.lock).st_mtime


def is_free(lease: Lease | None, timeout: float, gone: t.Sequence[str], asking: Identity | None = None) -> bool:
    """Whether a run may take the place: nobody has it, or its holder is gone.

    A run that waits for other instances of its play gives no sign of life for long: where the controller can see
    whether it is still on, the age of the last one says nothing.

    :param gone: the run ids whose controller process is known to have ended
    :param asking: the controller process of the run that asks
    """
    if lease is None or lease.run_id in gone:
        return True
    return lease.age > timeout and not is_watched(lease, asking)


def is_watched(lease: Lease, asking: Identity | None) -> bool:
    """Whether the controller of a run sees whether the holder's process, which is another one, has ended."""
    holder, asking = lease.value.get("controller") or {}, asking or {}
    return sees(asking, holder) and not is_same(asking, holder)


def take(place: Place, value: dict[str, t.Any], old: Lease | None) -> bool:
    """Make the lease this run's, under the lock. What the former holder wrote is out of its reach first.

    :returns: whether the former holder left a partial set; it may have been killed just after it had published
    """
    unfinished = bool(old and set_aside(place, old.run_id))
    content = (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()
    if old:
        write_atomic(place.lease, content)
        return unfinished
    own = f"{place.lease}.{value['run_id']}"
    write_atomic(own, content)
    try:
        os.link(own, place.lease)  # fails where another host's lock did not reach us
    except FileExistsError as error:
        raise SetError(f"Begin in '{place.folder}'", "another run began at the same moment", "Run again") from error
    except OSError:  # a file system without links
        write_json(place.lease, value)
    finally:
        os.unlink(own)
    fsync_directory(place.folder)
    return False


def set_aside(place: Place, run_id: str) -> bool:
    """Rename a partial set, so that its run cannot write to it any more; whether there was one."""
    try:
        os.rename(place.partial(run_id), place.set(f"{ABANDONED}{run_id}-{os.urandom(4).hex()}"))
    except FileNotFoundError:
        return False
    fsync_directory(place.sets)
    return True


def release(place: Place, run_id: str) -> bool:
    """Remove the lease if it is this run's, under the lock; whether it was."""
    lease = read(place)
    if lease is None or lease.run_id != run_id:
        return False
    os.unlink(place.lease)
    fsync_directory(place.folder)
    return True
