# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what is mounted where; the kernel renames no mount point."""

from __future__ import annotations

import os
import re

from .._files.at import is_inside

FSTAB = "/etc/fstab"


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


def away(point: str) -> str:
    """What is to be told of a mount point without its volume."""
    return f"nothing is mounted on '{point}', where /etc/fstab has a volume. Mount it"


def file_system(device: int) -> str:
    """The type of the file system with a device number; empty where nobody tells, as of subvolumes of Btrfs."""
    number = f"{os.major(device)}:{os.minor(device)}"
    return next((words[words.index("-") + 1] for words in _mountinfo() if words[2] == number), "")
