# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store that is copied."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

from blobs.place import COUNT


def make_store(root: Path, count: int, size: int, seed: int) -> None:
    """A store as Nuxeo lays it out: MD5, two levels, so 65,536 folders."""
    chance = random.Random(seed)
    data = root / "data"
    data.mkdir(parents=True)
    for number in range(65536 if COUNT >= 65536 else 0):
        os.makedirs(data / f"{number >> 8:02x}" / f"{number & 255:02x}", exist_ok=True)
    (root / "config.xml").write_text("<binary-store>\n  <digest>MD5</digest>\n  <depth>2</depth>\n</binary-store>\n")
    add(root, count, size, chance)


def add(root: Path, count: int, size: int, chance: random.Random) -> None:
    for dummy in range(count):
        content = chance.randbytes(chance.randint(size // 2, size * 3 // 2) if size > 64 else 12)
        key = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if COUNT < 65536:  # a trial
            os.makedirs(f"{root}/data/{key[:2]}/{key[2:4]}", exist_ok=True)
        target = os.open(f"{root}/data/{key[:2]}/{key[2:4]}/{key}", os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(target, content)
        os.close(target)


def make_records(root: Path, count: int) -> None:
    """A store of records: all in one folder, named by their documents."""
    data = root / "data"
    data.mkdir(parents=True)
    for number in range(count):
        target = os.open(f"{data}/12051767-a926-425c-a7e0-{number:012d}", os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(target, b"%d" % number)
        os.close(target)
