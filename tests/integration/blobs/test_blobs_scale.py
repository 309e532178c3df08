# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pass and a set cost does not grow with the number of blobs, shown at a scale that takes seconds.

The blobs are hard links to a few files, in the store and in the pool: a pass in which nothing is new opens
none of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

FEW, MANY = 20_000, 120_000
IN_A_FOLDER = 30
"""As with 2,000,000 blobs in 65,536 folders."""
LINKS = 30_000
"""Names of one file; ext4 gives it no more than 65,000."""

# A process begins with the largest size that the one had which started it: so a small one does, not that of the tests.
MEASURE = """
import os, resource, sys
os.waitpid(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ), 0)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def fill(lab: t.Any, count: int) -> None:
    """So many blobs in the store, and the same in the pool."""
    lab.make(0)
    for number in range(count):
        if number % LINKS == 0:
            content = lab.root / f"content{number}"
            content.write_bytes(b"x")
        folder = f"{number // IN_A_FOLDER:04x}"
        below = f"{folder[:2]}/{folder[2:]}"
        for top in (lab.store / "data", lab.pool):
            if number % IN_A_FOLDER == 0:
                os.makedirs(top / below)
            os.link(content, f"{top}/{below}/{folder}{number:028x}")


class Cost(t.NamedTuple):
    """Of one run: memory of its largest process, and bytes that the backup root has more of."""

    memory: int
    bytes: int


def size(root: Path) -> int:
    """The size of the sets and of the lists that they share."""
    return sum(path.stat().st_size for part in ("sets", "keys") for path in (root / part).rglob("*") if path.is_file())


def run(lab: t.Any, name: str, expected: int, **more: t.Any) -> Cost:
    """A pass that makes a set, in which nothing is new."""
    before = size(lab.instance)
    argv = [sys.executable, "-S", "-c", MEASURE]
    argv += lab.argv("blob_rsync", **lab.options(set_keys=lab.prefix(name), **more))
    *_other, result, memory = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    said = json.loads(result)
    assert (said.get("msg"), said["copied"], said["keys"]) == (None, 0, expected), said
    return Cost(int(memory) * 1024, size(lab.instance) - before)


def costs(lab: t.Any, count: int) -> dict[str, Cost]:
    fill(lab, count)
    lab.age()
    run(lab, "a", count)
    return {"nothing_new": run(lab, "b", count), "full": run(lab, "c", count, full=True)}


def test_neither_memory_nor_a_set_grows_with_the_number_of_blobs(
    new_lab: t.Callable[[Path], t.Any], tmp_path: Path
) -> None:
    few, many = (costs(new_lab(tmp_path / str(count)), count) for count in (FEW, MANY))
    for kind in few:
        # The keys of a hundred thousand blobs are 3.3 MB; what may grow is a little for each of their folders.
        assert many[kind].memory - few[kind].memory < 2_500_000, (few, many)
        assert many[kind].bytes < 2000, (few, many)
        assert abs(many[kind].bytes - few[kind].bytes) < 10, (few, many)
