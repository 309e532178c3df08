# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the note in a restored data folder: which set it holds, and how far the restore came.

While it says ``begun``, and the guard keeps the server from being started, what lies in the folder is a restore's own
unfinished work, and another run may replace it without being told to overwrite; so it may the database, the indices
and the stores that are noted in ``replaces``, no others.
When it says ``finished`` it holds what shows that nothing has changed since; so it does of the database alone as soon
as that is filled.
"""

from __future__ import annotations

import errno
import json
import os
import typing as t

from .._blobs.deliver import make_owned
from .._errors import PlatformError
from .._files.at import below, group_id, user_id
from .._io import fsync_directory, now, write_atomic, write_json

MARKER = ".nuxeo-platform-restore.json"
ASIDE = ".nuxeo-platform-before-"
FRESH = ".nuxeo-platform-new-"
Marker = t.Dict[str, t.Any]
_KEYS = ("status", "set", "instance", "run", "kept_aside", "database")


class RestoreError(PlatformError):
    """A restore's target is not as it has to be."""


def read_marker(data_dir: str) -> Marker | None:
    """The marker of a data folder; None where there is none. One that cannot be read is an error."""
    path = os.path.join(data_dir, MARKER)
    try:
        with open(path, encoding="utf-8") as stream:
            marker = json.load(stream)
    except FileNotFoundError:
        return None
    except PermissionError as error:  # who removed it would lose what it says
        raise RestoreError(
            f"Reading of the restore marker '{path}'", str(error.strerror), "Run as root, or as the user of whom it is"
        ) from error
    except (OSError, ValueError) as error:
        raise RestoreError(
            f"Reading of the restore marker '{path}'", str(error), "Look at the folder, then remove that file"
        ) from error
    missing = [key for key in _KEYS if key not in marker]
    if missing:
        raise RestoreError(
            f"Reading of the restore marker '{path}'",
            f"{', '.join(missing)} missing",
            "Look at the folder, then remove that file",
        )
    return t.cast(Marker, marker)


def write_marker(data_dir: str, marker: Marker) -> None:
    """Write the marker, readable by nobody else, like all that is written here."""
    write_json(os.path.join(data_dir, MARKER), {**marker, "updated": now()})


def begin(
    data_dir: str,
    marker: Marker,
    keep: t.Sequence[str],
    emptied: t.Sequence[str] = (),
    resumes: bool = True,
    folder: t.Mapping[str, str | None] | None = None,
) -> Marker:
    """Move what lies in the data folder aside and mark the folder as being restored.

    What an unfinished restore left is moved aside too: nothing is ever deleted here.

    :param marker: ``set``, ``instance``, ``run``
    :param keep: blob stores that stay where they are
    :param emptied: of these, the ones whose blobs are moved aside, in the store itself; the others are healed in place
    :param resumes: whether it may go on with an unfinished restore
    :param folder: ``owner``, ``group`` and ``mode`` of a data folder that is made, see :func:`folders.own_folder`
    :returns: the marker as written; ``kept_aside`` is the folder with what was there, or None
    """
    if not os.path.isdir(data_dir):
        _make(os.path.normpath(data_dir), folder or {})
    earlier = read_marker(data_dir) or {}
    resumed = resumes and earlier.get("status") == "begun"
    started = _begun(earlier if resumed else {}, marker)
    names = to_move(data_dir, staying(data_dir, keep))
    # what was being moved when a run was killed is of the same state of the folder: it goes to the same place
    moving = os.path.basename(earlier.get("moving") or "") if resumed else ""
    layouts = [store for store in keep if os.path.isfile(os.path.join(store, "config.xml"))]
    full = [store for store in emptied if os.path.isdir(os.path.join(store, "data"))]
    if names or moving or layouts or full:
        fresh = f"{ASIDE}{now().replace(':', '').replace('-', '')}"
        aside = os.path.join(data_dir, moving if moving.startswith(ASIDE) else fresh)
        started["kept_aside"] = started["kept_aside"] or aside
        write_marker(data_dir, {**started, "moving": aside})
        try:
            _move_aside(data_dir, names, aside)
            _keep_layouts(data_dir, aside, layouts)
            for store in full:
                _move_aside(store, ["data"], os.path.join(store, os.path.basename(aside)))
        except OSError as error:
            raise RestoreError(
                f"Move of what '{data_dir}' holds to '{aside}'",
                f"{error.strerror} at '{os.fsdecode(error.filename or data_dir)}'",
                "Mend that, then run the restore again: it goes on with the rest",
            ) from error
    write_marker(data_dir, started)
    return started


def _begun(earlier: Marker, marker: Marker) -> Marker:
    """What a run notes first; of an unfinished one that it goes on with, what that has noted."""
    # a database that was filled with another set is no part of this restore
    same = all(earlier.get(key) == marker[key] for key in ("set", "instance", "run"))
    return {
        "status": "begun",
        "kept_aside": earlier.get("kept_aside"),
        "database": earlier.get("database") if same else None,
        "filled": earlier.get("filled") if same else None,
        "kept_databases": earlier.get("kept_databases", []),
        **marker,
    }


def _make(data_dir: str, folder: t.Mapping[str, str | None]) -> None:
    """Make the data folder, from the start of whose it is to be: the set may have no file of it that would tell."""
    what, parent = f"Making of data folder '{data_dir}'", os.path.dirname(data_dir)
    owner, group = folder.get("owner"), folder.get("group")
    fresh = os.path.join(parent, f"{FRESH}{os.path.basename(data_dir)}")
    try:
        numbers = user_id(owner) if owner else -1, group_id(group) if group else -1
        os.makedirs(parent, exist_ok=True)
        make_owned(os.fsencode(data_dir), os.fsencode(fresh), *numbers, int(folder.get("mode") or "0750", 8))
    except LookupError as error:
        raise RestoreError(what, str(error.args[0]), "Make it, or set restore_owner and restore_group") from error
    except OSError as error:
        raise RestoreError(what, str(error.strerror), "Mend that, then run the restore again") from error


def movable(folder: str) -> list[str]:
    """What lies in a folder beside what restores have left there."""
    return [name for name in os.listdir(folder) if not name.startswith(".nuxeo-platform-") and name != "lost+found"]


def staying(data_dir: str, keep: t.Sequence[str]) -> set[str]:
    """The paths below the data folder that lead to stores which stay, be it by a link to a store elsewhere."""
    return {name for path in keep for name in below(path, data_dir)}


def leads(path: str, stay: t.Iterable[str]) -> bool:
    """Whether something that stays is below a path."""
    return any(each.startswith(path + "/") for each in stay)


def to_move(data_dir: str, stay: t.Collection[str], below: str = "") -> list[str]:
    """What has to be moved aside: all but what stays, and what leads to it."""
    found = []
    for name in movable(os.path.join(data_dir, below)):
        path = os.path.join(below, name)
        if path in stay:
            continue
        if not leads(path, stay):
            found.append(path)
        elif not os.path.islink(os.path.join(data_dir, path)):
            found += to_move(data_dir, stay, path)
    return found


def _move_aside(folder: str, paths: t.Sequence[str], aside: str) -> None:
    os.makedirs(aside, mode=0o700, exist_ok=True)
    if os.path.islink(aside):  # Nuxeo's user may make links there, and this may be root
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), aside)
    for path in paths:
        source, target = os.path.join(folder, path), os.path.join(aside, path)
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        try:
            os.rename(source, target)
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.EXDEV) or not os.path.isdir(source):
                raise
            # a mount point: what is in it is kept in it
            _move_aside(source, movable(source), os.path.join(source, os.path.basename(aside)))
    above = {os.path.dirname(path) for path in paths} | {""}
    while not above.issuperset(higher := {os.path.dirname(path) for path in above}):
        above |= higher
    for path in sorted(above, reverse=True):
        fsync_directory(os.path.join(aside, path))
        fsync_directory(os.path.join(folder, path))


def _keep_layouts(data_dir: str, aside: str, stores: t.Sequence[str]) -> None:
    """A store that stays where it is gets the set's config.xml; a copy of its own is kept."""
    for store in stores:
        name = os.path.relpath(os.path.realpath(store), os.path.realpath(data_dir)).replace("/", "_")
        with open(os.path.join(store, "config.xml"), "rb") as stream:
            write_atomic(os.path.join(aside, f"{name}_config.xml"), stream.read())


def note(data_dir: str, values: Marker) -> Marker:
    """Add values to a marker that is there, e.g. ``{"status": "finished", "database": {...}}``."""
    marker = read_marker(data_dir)
    if marker is None:
        raise RestoreError(f"Restore into '{data_dir}'", "its marker is gone", "Run the restore again")
    marker = {**marker, **values}
    write_marker(data_dir, marker)
    return marker


def note_filled(data_dir: str, run: str, restored: t.Mapping[str, t.Any]) -> None:
    """Note that the database is whole, for a run that goes on with this restore.

    Whose folder it is now may not be ours any more: the caller was killed, and another restores another set.

    :param restored: what was told of the database
    """
    marker = read_marker(data_dir)
    if marker and (marker["status"], marker["run"]) == ("begun", run):
        # with those that unfinished restores of other sets have kept aside: the first is what was there before
        kept = dict.fromkeys([*marker.get("kept_databases", []), restored["kept_aside"] or ""])
        filled = {"filled": {"messages": restored["messages"]}, "kept_databases": [name for name in kept if name]}
        try:
            write_marker(data_dir, {**marker, "database": restored["fingerprint"], **filled})
        except OSError as error:
            raise RestoreError(
                f"Note in '{data_dir}' that the database is whole", str(error.strerror), "Mend that, then run again"
            ) from error
