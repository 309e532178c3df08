# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what is mounted where; the kernel renames no mount point."""

from __future__ import annotations

import os
import re
import typing as t

from .marker import leads, staying


def _mountinfo() -> list[list[str]]:
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
            return [line.split(" ") for line in stream]
    except OSError:
        return []


def mounts() -> list[str]:
    """Every mount point that this process sees, of folders and of single files; none where nobody tells."""
    return [re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), words[4]) for words in _mountinfo()]


def file_system(device: int) -> str:
    """The type of the file system with a device number; empty where nobody tells, as of subvolumes of Btrfs."""
    number = f"{os.major(device)}:{os.minor(device)}"
    return next((words[words.index("-") + 1] for words in _mountinfo() if words[2] == number), "")


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


def conf_problems(conf: str) -> list[str]:
    """Why nuxeo.conf could not be replaced, which is done by a rename beside it. Nothing is tried."""
    path = os.path.realpath(conf)
    what = f"Change of '{conf}'"
    if path in mounts():
        return [f"{what}: it is mounted by itself, so it cannot be replaced. Mount the folder that it is in."]
    if not os.access(os.path.dirname(path), os.W_OK | os.X_OK):
        return [f"{what}: user {os.geteuid()} may not write to its folder. Run as the owner of that or as root."]
    if os.geteuid() not in (0, os.stat(path).st_uid):
        return [f"{what}: user {os.geteuid()} could not keep its owner. Run as that or as root."]
    return []
