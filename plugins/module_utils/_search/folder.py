# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: whether the engine's user gets to the folder of a repository in the backup root.

The backup root belongs to whoever runs the backup, the repository in it to the engine's user.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import struct
import typing as t

from .engine import Engine

User = t.Tuple[int, t.Set[int]]
_ACL = "system.posix_acl_access"
_USER, _OWN_GROUP, _GROUP, _MASK = 0x02, 0x04, 0x08, 0x10
"""Tags of entries in an access list; owner and others are as the mode says."""


def owner_of(engine: Engine, wanted: str) -> str:
    """The user who has to own the folder: the one named, else that of the engine's packages where there is such."""
    if wanted:
        return wanted
    try:
        return pwd.getpwnam(engine.distribution).pw_name
    except KeyError:
        return ""


def _user(name: str) -> User | None:
    """User id and group ids; a number need not be known here, since the engine may run on another host."""
    try:
        found = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except KeyError:
        return (int(name), set()) if name.isdigit() else None
    return found.pw_uid, set(os.getgrouplist(found.pw_name, found.pw_gid))


def _may(user: User, path: str, bits: int) -> bool:
    status = os.stat(path)
    uid, groups = user
    if uid in (0, status.st_uid):
        return uid == 0 or (status.st_mode >> 6) & bits == bits
    acl = _acl(path) or [(_OWN_GROUP, status.st_mode >> 3, 0)]
    mask = next((permitted for tag, permitted, _id in acl if tag == _MASK), 0o7)
    for permitted in [permitted for tag, permitted, named in acl if (tag, named) == (_USER, uid)]:
        return permitted & mask & bits == bits
    as_member = [
        permitted & mask & bits == bits
        for tag, permitted, named in acl
        if (tag == _OWN_GROUP and status.st_gid in groups) or (tag == _GROUP and named in groups)
    ]
    return any(as_member) if as_member else status.st_mode & bits == bits


def _acl(path: str) -> list[tuple[int, int, int]]:
    """Tag, rights and id of each entry of a folder's access list; none where it has only a mode."""
    try:
        found = os.getxattr(path, _ACL)
    except OSError:
        return []
    return list(struct.iter_unpack("<HHI", found[4:]))


def problems(location: str, owner: str, opened: str | None) -> list[str]:
    """Why the engine's user will not be able to use the folder.

    :param opened: a folder above it that the role opens for passing through
    """
    there = os.path.isdir(location)
    if not owner and not there:
        todo = f"make '{location}' yourself, writable for the engine's user"
        return [f"nobody knows as which user the engine runs: name it as backup_audit_owner, or {todo}"]
    if not owner:
        return []
    user = _user(owner)
    if user is None:
        return [f"there is no user '{owner}' on this node: name the engine's user as backup_audit_owner"]
    found = []
    above = os.path.dirname(os.path.abspath(location))
    while above != "/":
        with contextlib.suppress(FileNotFoundError):
            if above != opened and not _may(user, above, 0o1):
                todo = "chmod o+x it, or let that user in by setfacl, or name another location"
                found.append(f"user '{owner}' may not pass through '{above}': {todo}")
        above = os.path.dirname(above)
    if there and os.geteuid() != 0 and not _may(user, location, 0o7):
        found.append(f"user '{owner}' may not write to '{location}': {_described(location)}")
    if not there and os.geteuid() not in (0, user[0]):
        found.append(f"only root can give '{location}' to '{owner}': make it, or run the backup as root (become)")
    return found


def closed_to_us(location: str) -> list[str]:
    """Why this node could not tell whether a snapshot is in the folder. One that is not there yet will be our own."""
    try:
        os.stat(os.path.join(location, "."))
    except FileNotFoundError:
        return []
    except OSError as error:
        todo = "let the user of the backup pass through it (chmod o+x, or setfacl), or run the backup as root (become)"
        return [f"nobody would see whether a snapshot is in '{location}' ({error.strerror}): {todo}"]
    return []


def _described(path: str) -> str:
    status = os.stat(path)
    try:
        names = f"{pwd.getpwuid(status.st_uid).pw_name}:{grp.getgrgid(status.st_gid).gr_name}"
    except KeyError:
        names = f"{status.st_uid}:{status.st_gid}"
    return f"it belongs to {names}, mode {status.st_mode & 0o7777:04o}"
