# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a run begins, or ends without a set."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import secrets
import shutil
import stat
import typing as t

from .._conf.guard import find
from .._conf.load import begun_by
from .._errors import PlatformError
from .._files.at import why
from .._io import fsync_directory, now, write_json
from .controller import Identity
from .lease import Lease, in_words, is_free, is_watched, locked, read, set_aside, take
from .mounts import unmounted
from .place import ABANDONED, PARTIAL, Place, SetError, Target, ancestors

_MINIMUM = 1 << 20
_ERROR = 2000
SILENCE = 900.0
"""Seconds, where the lease of a run does not say how long its signs of life may stay away."""
_TEMPORARY = re.compile(r"\.(lease|failed)\.json\.[^/]*\.tmp|\.?lease\.json\.[0-9a-f]{16}(\.[^/]*\.tmp)?")


def check_place(place: Place, forbidden: t.Sequence[str], required_bytes: int, require_mount: bool) -> int:
    """All problems of the backup root at once; gives the free bytes."""
    if not os.path.isdir(place.root):
        raise SetError(
            f"Backup root '{place.root}'", "there is no such folder", "Make it, or mount what should be there"
        )
    problems = []
    found = os.statvfs(place.root)
    free = found.f_bavail * found.f_frsize
    if found.f_flag & os.ST_RDONLY:
        problems.append("its file system is mounted read-only")
    elif not os.access(place.folder if os.path.exists(place.folder) else place.root, os.W_OK | os.X_OK):
        problems.append(f"user {os.geteuid()} may not write to it")
    if require_mount and os.stat(place.root).st_dev == os.stat("/").st_dev:
        problems.append("it lies in the root file system: what should be mounted there is not")
    problems += _away(place)
    problems += [problem for path in forbidden for problem in _overlaps(place, path)]
    if free < max(required_bytes, _MINIMUM):
        need = max(required_bytes, _MINIMUM)
        problems.append(f"{need} bytes are needed and {free} are free: {need - free} bytes are missing")
    if problems:
        raise SetError(
            f"Backup root '{place.root}'", "; ".join(problems), "Name another nuxeo_backup_root, or mend this one"
        )
    return free


def _away(place: Place) -> list[str]:
    """Volumes that are not there: of the root, and of what an administrator has linked to, or mounted, elsewhere."""
    parts = [place.pool(name) for name in ("sets", "blobs", "keys", "state", "audit")]
    paths = [place.root, place.folder, *parts, *glob.glob(glob.escape(place.pool("blobs")) + "/*")]
    points = sorted({point for path in paths for point in unmounted(path)})
    return [f"nothing is mounted on '{point}', where /etc/fstab has a volume" for point in points] + [
        f"'{path}' is a link that leads nowhere: its volume is not mounted"
        for path in paths
        if os.path.islink(path) and not os.path.exists(path)
    ]


def _overlaps(place: Place, path: str) -> list[str]:
    """A root inside what it backs up would back up itself; a store inside the instance's folder would be cleaned up."""
    own, other = ancestors(place.folder), ancestors(path)
    if other[0] & set().union(*own):
        return [f"it is inside '{path}', which is backed up"]
    if own[0] & set().union(*other):
        return [f"'{path}', which is backed up, is inside '{place.folder}'"]
    return []


def begin(
    place: Place,
    who: dict[str, t.Any],
    *,
    timeout: float,
    gone: t.Sequence[str] = (),
    asking: Identity | None = None,
    check: bool = False,
) -> dict[str, t.Any]:
    """Take the lease and make the partial set.

    :param who: ``node`` and ``controller`` for the lease
    :param gone: the run ids whose controller process is known to have ended
    :param asking: the controller's process, when the controller has looked for the holder's
    :raises SetError: the place is taken; ``result["holder"]`` says by whom
    """
    run_id = secrets.token_hex(8)
    partial = place.partial(run_id)
    value = {"run_id": run_id, "instance": place.instance, "started": now(), **who}
    answer = {
        "run_id": run_id,
        "partial": partial,
        "progress": os.path.join(partial, "progress.json"),
        "lease": value,
        "who": f"{in_words(run_id, value)} at {value['started']}",
    }
    if check:
        old = read(place)
        _refuse(place, old, timeout, gone, asking)
        return {**answer, "took_over": old.describe() if old else None, "leftovers": len(_leftovers(place, ""))}
    _private_folder(place.folder, place.mode, passable=True, link=place.may_be_linked)
    _private_folder(place.sets, link=place.may_be_linked)
    with locked(place):
        old = read(place, mend=True)
        _refuse(place, old, timeout, gone, asking)
        for path in (partial, *(os.path.join(partial, name) for name in place.folders)):
            _private_folder(path)
        _sweep(place)
        unfinished = take(place, value, old)
        for name in _leftovers(place, run_id):
            if name.startswith(PARTIAL):
                set_aside(place, name[len(PARTIAL) :])
    if old and unfinished:
        note_failure(place, old.run_id, "killed", "the run ended without a word; another one has taken its place")
    return {**answer, "took_over": old.describe() if old else None, "leftovers": clean(place)}


def begin_here(place: Place, options: t.Mapping[str, t.Any], check: bool) -> dict[str, t.Any]:
    """Check the place and begin, by the options of the module backup_set. No restore changes what is backed up."""
    what = f"Begin of a {place.what}"
    try:
        free = check_place(place, options["forbidden"], options["required_bytes"], options["require_mount"])
        others = [Target(path) for path in options["forbidden"]]
        begun = _begin_alone(place, others, options, check)
    except OSError as error:
        raise SetError(what, *why(error, place.root)) from error
    return {**begun, "free_bytes": free}


def join(place: Place, options: t.Mapping[str, t.Any]) -> None:
    """Look on another node of an instance whether a restore is on there, for a run that has begun."""
    try:
        _look(place, [Target(path) for path in options["forbidden"]], options)
    except OSError as error:
        raise SetError(f"Begin of a {place.what}", *why(error, options["node"] or "")) from error


def _begin_alone(
    place: Place, others: t.Sequence[Place], options: t.Mapping[str, t.Any], check: bool
) -> dict[str, t.Any]:
    """Begin where no run of the other kind is on. Each takes its own place first, so one of two sees the other."""
    timeout, gone = options["lease_timeout"], options["gone"]
    who = {"node": options["node"], "controller": options["controller"] or {}, "silence": timeout}
    begun = begin(place, who, timeout=timeout, gone=gone, asking=options["controller"], check=check)
    try:
        _look(place, others, options)
    except (OSError, PlatformError):
        if not check:
            _end(place, begun["run_id"])
        raise
    return begun


def _look(place: Place, others: t.Sequence[Place], options: t.Mapping[str, t.Any]) -> None:
    """Refuse what begins, or has begun, in a place while a run of the other kind is on, as this node sees it.

    A restore's lease is in the data folder of its leader, so other nodes know it by its guard in their nuxeo.conf. It
    comes after the lease, and the restore looks again after that: whoever is second sees the first.
    """
    for other in others:
        lease = _seen(other)
        _refuse(other, lease, _silence(lease), options["gone"], options["controller"], place.what)
    conf = options.get("nuxeo_conf")
    guard = find(conf) if conf else ""
    if guard:
        raise SetError(
            f"Begin of a {place.what}",
            f"a restore onto '{conf}' has begun{begun_by(guard)} and has not ended",
            "Wait for its end, or run it again when it is not on any more",
        )


def _seen(place: Place) -> Lease | None:
    """The lease of a place that is not ours; nothing there is changed but, at most, the time of its lock."""
    if not os.path.isdir(place.folder):
        return None
    try:
        return read(place)
    except PermissionError as error:
        raise SetError(
            f"Look whether a {place.what} is on",
            f"user {os.geteuid()} may not read '{place.lease}'",
            "One of another user is or was on there: run as that user, or as root",
        ) from error


def _silence(lease: Lease | None) -> float:
    """After how many seconds its own kind takes a run to be gone."""
    told = lease.value.get("silence") if lease else None
    return float(told) if isinstance(told, (int, float)) else SILENCE


def _sweep(place: Place) -> None:
    """Remove temporary files of a killed writer, under the lock that all writers here have."""
    for name in os.listdir(place.folder):
        if _TEMPORARY.fullmatch(name):
            os.unlink(os.path.join(place.folder, name))


def _refuse(
    place: Place,
    old: Lease | None,
    timeout: float,
    gone: t.Sequence[str],
    asking: Identity | None,
    what: str = "",
) -> None:
    """Refuse to begin where a run is on.

    :param asking: the controller process of the run that was to begin
    :param what: what was to begin, when that is of another kind than what is on
    """
    if old is None or is_free(old, timeout, gone, asking):
        return
    holder = old.describe()
    todo = f"Without a sign of life for {timeout:.0f} s it is taken to be gone"
    raise SetError(
        f"Begin of a {what or place.what}",
        f"{f'a {place.what}, ' if what else ''}{old.who} is on since "
        f"{holder.get('started', 'an unknown time')}; its last sign of life is {old.age:.0f} s old",
        f"Wait for its end{', or end that process' if is_watched(old, asking) else f'. {todo}'}",
        {"holder": {**holder, "quiet": old.age > timeout}},
    )


def _private_folder(path: str, least: int = 0o700, passable: bool = False, link: bool = False) -> None:
    """A folder for its owner only.

    :param least: the mode that it has at least
    :param passable: one that was opened for passing through, to a search engine's repository in it, stays so
    :param link: whether it may be a link to one
    """
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path) or (os.path.islink(path) and not link):
            todo = "Find out who has made it, then remove it"
            raise SetError(f"Use of '{path}'", "it is not a folder", todo) from None
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if mode & (0o066 if passable else 0o077) or ~mode & least & 0o077:
            os.chmod(path, mode & (0o711 if passable else 0o700) | least)
        return
    os.chmod(path, least)  # whatever the umask
    fsync_directory(os.path.dirname(path))


def _leftovers(place: Place, own: str) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        names = os.listdir(place.sets)
        return [n for n in names if n.startswith(ABANDONED) or (n.startswith(PARTIAL) and n != PARTIAL + own)]
    return []


def clean(place: Place) -> int:
    """Remove abandoned sets; one that cannot be removed (its killed run still writes) is left to the next run."""
    removed = 0
    for name in os.listdir(place.sets):
        if name.startswith(ABANDONED):
            shutil.rmtree(place.set(name), ignore_errors=True)
            removed += not os.path.lexists(place.set(name))
    return removed


def note_failure(place: Place, run_id: str, step: str, error: str) -> None:
    """Keep a word about the last run that failed, for the list."""
    with contextlib.suppress(OSError):  # it is a word for the list; the run has told its failure itself
        write_json(place.failed, {"run_id": run_id, "time": now(), "step": step, "error": error[:_ERROR]})


def _end(place: Place, run_id: str) -> tuple[bool, bool]:
    """Give the lease back and remove the partial set; whether it had one, and whether there was the other."""
    with locked(place):
        lease = read(place)
        ours = bool(lease and lease.run_id == run_id)
        there = os.path.isdir(place.partial(run_id))
        if there:
            set_aside(place, run_id)
        if ours:
            os.unlink(place.lease)
            fsync_directory(place.folder)
    clean(place)
    return ours, there


def abandon(place: Place, run_id: str, step: str, error: str, check: bool) -> bool:
    """End a run without a set. Does nothing when the lease is another's or the set is published; whether it did."""
    if not os.path.isdir(place.sets):
        return False
    if check:
        lease = read(place)
        return bool(lease and lease.run_id == run_id) or os.path.isdir(place.partial(run_id))
    ours, there = _end(place, run_id)
    if there:  # now, since the disk may have been full
        note_failure(place, run_id, step, error)
    return ours or there


def take_turn(data_dir: str, options: t.Mapping[str, t.Any], check: bool) -> dict[str, t.Any]:
    """Begin a restore into a data folder, made when it is absent, by the options of the module restore_lease."""
    place = Target(data_dir)
    try:
        if not check:
            os.makedirs(data_dir, mode=0o750, exist_ok=True)
        others = [Place(options["backup_root"], options["instance"])] if options["backup_root"] else []
        return _begin_alone(place, others, options, check)
    except OSError as error:
        raise SetError(f"Begin of a {place.what}", *why(error, data_dir)) from error


def end_turn(data_dir: str, run_id: str, check: bool) -> bool:
    """Give the lease of a data folder back; whether this run had it."""
    place = Target(data_dir)
    if check or not os.path.isdir(place.sets):
        return False
    return _end(place, run_id)[0]


def is_turn_taken(data_dir: str) -> bool:
    """Whether a restore is on in a data folder now."""
    lease = _seen(Target(data_dir))
    return not is_free(lease, _silence(lease), ())
