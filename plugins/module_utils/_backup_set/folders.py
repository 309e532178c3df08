# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what stands in the way in the folders of a target. Nothing is tried."""

from __future__ import annotations

import os
import typing as t

from .._errors import shown
from .._files.entry import FILE, read_tree_list
from .._files.restore import owners_todo, unknown_owners
from .marker import leads, staying
from .mounts import away, mounts, unmounted
from .place import ancestors

LISTED = 3


def mount_problems(data_dir: str, keep: t.Sequence[str]) -> list[str]:
    """Mounts that stand in the way of moving aside what a data folder holds.

    A folder that is mounted right in it, or beside a store that stays, is emptied. A mount further below would go along
    with the folder that it is in, and be back over the restored one after a reboot.
    """
    above, stay = os.path.realpath(data_dir), staying(data_dir, keep)
    problems = []
    for mount in mounts():
        name = os.path.relpath(mount, above)
        first, holder = name.split("/")[0], os.path.dirname(name)
        if first in ("..", ".") or first.startswith(".nuxeo-platform-") or leads(name, stay):
            continue
        if any(f"{name}/".startswith(f"{path}/") for path in stay):
            continue
        if (holder and not leads(holder, stay)) or not os.path.isdir(mount):
            problems.append(
                f"Restore into data folder '{data_dir}': '{mount}' is mounted in it, and what holds it has to be moved "
                "aside. Unmount it for the restore, or give another restore_data_dir."
            )
    return sorted(set(problems))


def access_problems(keep: t.Sequence[str]) -> list[str]:
    """Stores that stay, to which blobs could not be written: they would be met last, when the database is replaced."""
    problems = []
    for store in keep:
        place = os.path.join(store, "data")
        while not os.path.lexists(place):
            place = os.path.dirname(place)
        what = f"Restore of the blobs to '{store}'"
        if not os.path.isdir(place):
            problems.append(f"{what}: '{place}' leads to no folder. Is its volume mounted?")
        elif not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
            problems.append(
                f"{what}: user {os.geteuid()} may not write to '{place}'. Run as its owner, or mount it for writing."
            )
    return problems


def away_problems(facts: dict[str, t.Any], further: t.Sequence[dict[str, t.Any]]) -> list[str]:
    """Volumes that are not mounted on this node: nodes share the stores, and each may have a data folder of its own."""
    what = {facts["data_dir"]: f"Restore into data folder '{facts['data_dir']}'"}
    stores = {store["provider"]: store.get("path") for store in [*facts["blobs"], *further]}
    what.update({path: f"Restore of the blobs to '{path}'" for path in stores.values() if path and path not in what})
    return [f"{words}: {away(point)}." for path, words in what.items() for point in unmounted(path)]


def conf_problems(conf: str) -> list[str]:
    """Why nuxeo.conf could not be replaced, which is done by a rename beside it."""
    path = os.path.realpath(conf)
    what = f"Change of '{conf}'"
    if path in mounts():
        return [f"{what}: it is mounted by itself, so it cannot be replaced. Mount the folder that it is in."]
    if not os.access(os.path.dirname(path), os.W_OK | os.X_OK):
        return [f"{what}: user {os.geteuid()} may not write to its folder. Run as the owner of that or as root."]
    if os.geteuid() not in (0, os.stat(path).st_uid):
        return [f"{what}: user {os.geteuid()} could not keep its owner. Run as that or as root."]
    return []


def owner_problems(
    path: str, node: str, trees: t.Sequence[dict[str, str]], owner: str | None, group: str | None
) -> list[str]:
    """Owners of the files of a node of the set that the target does not know, or that this user may not set."""
    entries = [
        entry for tree in trees for entry in read_tree_list(os.path.join(path, "files", node, f"{tree['name']}.jsonl"))
    ]
    return [
        f"Restore of the files of set '{path}': {unknown}. {owners_todo()}."
        for unknown in unknown_owners(entries, owner, group)
    ]


def leader_files(manifest: dict[str, t.Any], nodes: t.Collection[str], leader: str) -> dict[str, t.Any]:
    """Whose files the leader of a restore gets: its own, as every node does.

    :param nodes: of the target
    :returns: ``files_of``, the node of the set: that which led the backup where the set has none of the leader (of a
        clone, or a node that was down), and where the embedded database is among them. ``files_held_by``, if another
        node of the target gets these too: where both have a data folder each it alone takes what was in it, or two
        servers would go on with the same streams.
    """
    embedded = manifest["nuxeo"]["database"]["kind"] == "h2"
    of = leader if manifest["nodes"].get(leader) and not embedded else manifest["leader"]
    return {"files_of": of, "files_held_by": of if of != leader and of in nodes and not embedded else None}


def left_out(path: str, manifest: dict[str, t.Any], nodes: t.Collection[str], files_of: str) -> list[str]:
    """What comes back to nobody: files of nodes that are none of the target, unless the leader gets the same ones, as
    of a data folder that they had together.

    :param nodes: of the target
    :param files_of: the node of the set whose files the leader gets
    """
    others = sorted(name for name, is_in in manifest["nodes"].items() if is_in and name not in (*nodes, files_of))
    got = _files(path, files_of) if others else {}
    found = []
    for name in others:
        own = sorted(set(_files(path, name).items()) - set(got.items()))
        if own:
            some = ", ".join(f"'{shown(file)}'" for file, _sha256 in own[:LISTED]) + (", ..." if own[LISTED:] else "")
            found.append(f"{len(own)} files of node {name}, which is none of the target, stay in the set: {some}")
    return found


def _files(path: str, node: str) -> dict[str, str | None]:
    """What a node of the set had in its data folder: the SHA-256 of each file."""
    entries = read_tree_list(os.path.join(path, "files", node, "data.jsonl"))
    return {entry.path: entry.sha256 for entry in entries if entry.type == FILE}


def own_folder(path: str, node: str, owner: str | None, group: str | None) -> dict[str, str | None]:
    """Owner, group and mode of a data folder that is made: as that of a node of the set, unless others are named.
    Without root an owner that is not named stays the one who makes it, None here.
    """
    entries = read_tree_list(os.path.join(path, "files", node, "data.jsonl"))
    recorded = next(entry for entry in entries if entry.path == ".")
    root = os.geteuid() == 0
    return {
        "owner": owner or (recorded.owner if root else None),
        "group": group or (recorded.group if root else None),
        "mode": f"{recorded.mode:04o}",
    }


def inner_problems(path: str, target: dict[str, t.Any]) -> list[str]:
    """What the data folder holds is moved aside: neither what is restored from nor the server may be in it."""
    folder = ancestors(target["data_dir"])[0]
    inner = {"the set": path, "nuxeo.conf": target["conf"], "NUXEO_HOME": target["home"]}
    return [
        f"Restore into data folder '{target['data_dir']}': {what} is in it, at '{place}', and would be moved aside "
        "with all that it holds. Give another place, e.g. by restore_data_dir."
        for what, place in inner.items()
        if folder & set().union(*ancestors(place))
    ]
