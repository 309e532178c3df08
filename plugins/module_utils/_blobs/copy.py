# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the door of the package: what the modules call."""

from __future__ import annotations

import os
import re
import typing as t

from .._progress import Progress
from .deliver import Delivery
from .errors import BlobError
from .options import Options
from .passes import Pass
from .store import read_config, settings
from .verify import verify


def copy(options: Options, progress: t.Optional[str]) -> t.Dict[str, t.Any]:
    """Copy in the direction that the layouts say."""
    if options.src_layout == options.dest_layout:
        raise BlobError(
            f"Copy of '{options.src}' to '{options.dest}'",
            "src_layout and dest_layout are the same",
            "Copy from a store to a pool, or from a pool to a store",
        )
    if options.src_layout == "store":
        return Pass(options, progress).run().result()
    return Delivery(options, progress).run().result()


def parse_subset(text: str) -> t.Tuple[int, int]:
    """``n/t`` as two numbers."""
    found = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
    if not found or not 1 <= int(found.group(1)) <= int(found.group(2)):
        raise BlobError(f"Reading of subset {text!r}", "it is not n/t with n from 1 to t", "Write e.g. 1/7")
    return int(found.group(1)), int(found.group(2))


def prove(
    *,
    pool: t.Optional[str],
    store: t.Optional[str],
    keys: t.Optional[str],
    depth: t.Optional[int],
    subset: str,
    set_aside: bool,
    jobs: int,
    progress: t.Optional[str],
) -> t.Dict[str, t.Any]:
    """Read a pool or a store again; raises when a blob is rotten or missing."""
    root = pool or t.cast(str, store)
    place = root
    level: t.Optional[int] = None
    if not pool:
        level = settings(read_config(root), os.path.join(root, "config.xml"), depth, None)[0]
        place = os.path.join(root, "data")
    workers = jobs if jobs > 0 else min(8, len(os.sched_getaffinity(0)))
    told = Progress(progress, "verify", unit="blobs")
    verdict = verify(
        place,
        keys=keys,
        depth=level,
        subset=parse_subset(subset),
        jobs=workers,
        heal=set_aside and pool is not None,
        progress=told,
    )
    result: t.Dict[str, t.Any] = verdict._asdict()
    wrong = verdict.rotten_count + verdict.missing_count
    if wrong:
        raise BlobError(
            f"Verification of blobs in '{root}'",
            f"{verdict.rotten_count} of {verdict.checked} blobs are rotten ({', '.join(verdict.rotten)}), "
            f"{verdict.missing_count} are missing ({', '.join(verdict.missing)})",
            "The next backup copies them again when the source still has them",
            {**result, "changed": False},
        )
    return result
