# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: whether what a restore writes is there, and has room on each volume of the target.

What is counted is surely needed: files that are there count nothing, nor do blobs that share their blocks with the
pool, and sparse or packed ones count what they take up in the set. Where the file system may pack or share more than
that, it is told and nothing is refused. So a restore that would succeed never is; one may still run out of room.
"""

from __future__ import annotations

import itertools
import os
import shutil
import typing as t

from .._blobs import keylist, names
from .._blobs.copier import CHUNK
from .._blobs.errors import BlobError, Problems
from .._blobs.places import open_home
from .._files.entry import FILE, read_tree_list
from .mounts import file_system

Named = t.Dict[str, t.Any]

_LOST = (
    "Restore of blobs to '{}': {} are neither there nor in pool '{}': {}. "
    "Take another set, or bring them back: verify, and then a backup, where the source still has them."
)

BATCH = 10_000
"""How many blobs a pool on another host is asked for at once."""

EXACT = ("ext2", "ext3", "ext4", "tmpfs", "xfs")
"""File systems in which a file takes up what its bytes do, but for blobs that share their blocks (XFS)."""


def _taken(path: t.Union[str, bytes]) -> int:
    """What a file takes up at least, wherever it is copied to; 0 when it is missing, which others tell."""
    try:
        found = os.stat(path)
    except OSError:
        return 0
    return min(found.st_size, found.st_blocks * 512)


def _existing(path: str) -> str:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _data(store: Named) -> bytes:
    return os.fsencode(os.path.join(store["path"], "data"))


def blobs_wanted(keys: str, store: Named, stays: bool) -> t.Iterator[names.Entry]:
    """What of a list a store lacks: all of it where it is moved aside."""
    data = _data(store)
    there = stays and os.path.isdir(data)
    for entry in map(names.parse, keylist.read_lines(keys)):
        place = os.path.join(data, names.folder_of(entry.key, store["depth"] or 0), entry.key)
        if not (there and os.path.exists(place)):
            yield entry


def blobs_needed(wanted: t.Iterable[names.Entry], pool: str, store: Named) -> t.Tuple[int, Problems]:
    """Bytes of the blobs that a store lacks; and those that the pool lacks too."""
    device = os.stat(_existing(os.fsdecode(_data(store)))).st_dev
    shared = os.path.isdir(pool) and os.stat(pool).st_dev == device and file_system(device) == "xfs"
    needed, lost = 0, Problems()
    for entry in wanted:
        path = os.path.join(os.fsencode(pool), names.pool_path(entry.pool_name))
        size = _taken(path)
        if size == 0 and not os.path.lexists(path):
            lost.add(entry.key, "missing")
        needed += 0 if shared and size >= CHUNK else size
    return needed, lost


def blobs_lost(wanted: t.Iterator[names.Entry], pool: str, rsh: t.Sequence[str]) -> Problems:
    """Those that a pool on another host lacks too."""
    lost = Problems()
    home = open_home(pool, rsh)
    try:
        for batch in iter(lambda: list(itertools.islice(wanted, BATCH)), []):
            lacking = home.lacking([entry.pool_name for entry in batch])
            for entry in batch:
                if entry.pool_name in lacking:
                    lost.add(entry.key, "missing")
    finally:
        home.end()
    return lost


def tree_needed(copy: str, dest: str, moved: bool) -> int:
    """Bytes of the files of a tree, without those that are there already where nothing is moved aside."""
    return sum(
        _taken(os.path.join(copy, entry.path))
        for entry in read_tree_list(f"{copy}.jsonl")
        if entry.type == FILE and (moved or not os.path.exists(os.path.join(dest, entry.path)))
    )


def space_problems(
    path: str, node: str, found: Named, pools: t.Mapping[str, str], rsh: t.Sequence[str]
) -> t.Tuple[t.List[str], t.List[str]]:
    """Each blob store whose pool lacks what it needs, each volume that has not the room for what goes there, and a line
    for each store of which nobody can tell.

    :param path: the folder of the set
    :param node: the one of the set whose trees are restored
    :param found: the plan: ``stores``, ``keep``, ``emptied``, ``trees``
    :param pools: where the blobs of each store are
    :param rsh: how those on another host are reached
    """
    try:
        return _space_problems(path, node, found, pools, rsh)
    except OSError as error:
        why = f"{error.strerror} at '{os.fsdecode(error.filename or path)}'"
        return [f"Check of the room for set '{path}': {why}. Is its volume mounted, and readable for this user?"], []


def _space_problems(
    path: str, node: str, found: Named, pools: t.Mapping[str, str], rsh: t.Sequence[str]
) -> t.Tuple[t.List[str], t.List[str]]:
    needs: t.Dict[str, int] = {}
    problems, lines = [], []
    for tree in (tree for tree in found["trees"] if tree["dest"]):
        dest = tree["dest"]
        needs[dest] = tree_needed(os.path.join(path, "files", node, tree["name"]), dest, tree["name"] == "data")
    for store in (store for store in found["stores"] if store["path"]):
        pool, dest = pools[store["provider"]], os.path.join(store["path"], "data")
        stays = store["path"] in found["keep"] and store["path"] not in found["emptied"]
        wanted = blobs_wanted(os.path.join(path, "blobs", store["provider"]), store, stays)
        if pool.startswith("/"):
            needs[dest], lost = blobs_needed(wanted, pool, store)
        else:
            lines.append(f"blobs    {store['provider']}: room is not checked, its pool is on another host, {pool}")
            try:
                lost = blobs_lost(wanted, pool, rsh)
            except BlobError as error:
                problems.append(str(error))
                continue
        problems += [_LOST.format(dest, lost.count, pool, lost.listed())] if lost.count else []
    volumes: t.Dict[int, t.List[str]] = {}
    for dest in needs:
        volumes.setdefault(os.stat(_existing(dest)).st_dev, []).append(dest)
    for device, places in volumes.items():
        needed, free = sum(needs[dest] for dest in places), shutil.disk_usage(_existing(places[0])).free
        if needed <= free:
            continue
        told = " and ".join(f"'{place}'" for place in places)
        if file_system(device) in EXACT:
            problems.append(
                f"Restore into {told}: it needs {needed} bytes, and the volume has {free}. "
                "Make room, or give places on another volume, e.g. by restore_data_dir."
            )
        else:
            lines.append(f"room     {told}: {needed} bytes, unless they are packed or shared there; free are {free}")
    return problems, lines
