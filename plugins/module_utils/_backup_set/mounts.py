# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what is mounted where; the kernel renames no mount point."""

from __future__ import annotations

import os
import re

from .._conf.host import LOOPBACK
from .._files.at import is_inside

FSTAB = "/etc/fstab"
_SERVED = re.compile(r"(?://([^/]+)|(?!/)(.+?):)(/.*)")
"""A volume of a server, as the kernel names it: ``server:/export`` of NFS, ``//server/share`` of SMB."""


def _mountinfo() -> list[list[str]]:
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
            return [line.split(" ") for line in stream]
    except OSError:
        return []


def mounts() -> list[str]:
    """Every mount point that this process sees, of folders and of single files; none where nobody tells."""
    return [_plain(words[4]) for words in _mountinfo()]


def _plain(text: str) -> str:
    """A path as the kernel and fstab write it, without their escapes."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def unmounted(path: str) -> list[str]:
    """Mount points of fstab, at a path or above it, on which nothing is mounted; none where nobody tells."""
    there = mounts()
    try:
        with open(FSTAB, encoding="utf-8", errors="surrogateescape") as stream:
            lines = [line.split() for line in stream if not line.lstrip().startswith("#")]
    except OSError:
        return []
    points = {os.path.realpath(_plain(words[1])) for words in lines if len(words) > 2 and words[1].startswith("/")}
    return sorted(point for point in points - {"/", *there} if there and is_inside(path, point))


def share(path: str) -> str:
    """The place of a path on a server whose volume is mounted there, as ``nas:/export/folder``; empty on no such.

    Empty, too, where the server is behind a tunnel of this host, as it is named by that.
    """
    real = os.path.realpath(path)
    held = [words for words in _mountinfo() if is_inside(real, _plain(words[4]))]
    words = max(reversed(held), key=lambda words: len(_plain(words[4])), default=None)  # of one point the last is seen
    named = words and _SERVED.fullmatch(_plain(words[words.index("-") + 2]))
    server = (named[1] or named[2]).strip("[]") if named else ""
    if not words or not named or server in LOOPBACK:
        return ""
    below = os.path.relpath(real, _plain(words[4]))
    return f"{server}:{os.path.normpath('/'.join((named[3], _plain(words[3]), below)))}"


def away(point: str) -> str:
    """What is to be told of a mount point without its volume."""
    return f"nothing is mounted on '{point}', where /etc/fstab has a volume. Mount it"


def file_system(device: int) -> str:
    """The type of the file system with a device number; empty where nobody tells, as of subvolumes of Btrfs."""
    number = f"{os.major(device)}:{os.minor(device)}"
    return next((words[words.index("-") + 1] for words in _mountinfo() if words[2] == number), "")
