# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what a copy is asked to do, and what it answers."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .errors import SHOWN, Problems

RSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30", "-o", "ServerAliveInterval=15")
"""How another host is reached."""

KINDS = ("digest", "record", "encrypted")


@dataclasses.dataclass
class Options:
    """The options of blob_rsync, see its documentation."""

    src: str
    dest: str
    src_layout: str = "store"
    dest_layout: str = "pool"
    provider: str = "default"
    default_provider: bool = True
    other_providers: t.Sequence[str] = ()
    kind: str = "digest"
    digest: t.Optional[str] = None
    depth: t.Optional[int] = None
    state: t.Optional[str] = None
    set_keys: t.Optional[str] = None
    keys: t.Optional[str] = None
    required: t.Optional[str] = None
    like: t.Optional[str] = None
    record_digests: t.Optional[str] = None
    full: bool = False
    full_every: int = 20
    folder_times: bool = True
    accept_shrink: bool = False
    jobs: int = 0
    rsh: t.Sequence[str] = RSH
    check: bool = False

    @property
    def workers(self) -> int:
        """How many processes: as asked, else one for each processor, at most eight."""
        return self.jobs if self.jobs > 0 else min(8, len(os.sched_getaffinity(0)))


@dataclasses.dataclass
class Report:
    """What a copy did. The same keys always; bounded whatever the store."""

    counts: t.Dict[str, int] = dataclasses.field(default_factory=dict)
    problems: Problems = dataclasses.field(default_factory=Problems)
    keys: int = 0
    missing: t.List[str] = dataclasses.field(default_factory=list)
    missing_count: int = 0
    foreign: t.List[str] = dataclasses.field(default_factory=list)
    superseded: int = 0
    folders: int = 0
    full_pass: bool = False

    def add(self, counts: t.Mapping[str, int]) -> None:
        for name, value in counts.items():
            self.counts[name] = self.counts.get(name, 0) + value

    def result(self) -> t.Dict[str, t.Any]:
        """The values of the module's result."""
        names = ("copied", "bytes_copied", "present", "vanished", "ignored", "doubted")
        return {
            **{name: self.counts.get(name, 0) for name in names},
            "folders_listed": self.counts.get("listed", 0),
            "keys": self.keys,
            "missing": self.missing[:SHOWN],
            "missing_count": self.missing_count,
            "foreign": self.foreign[:SHOWN],
            "superseded": self.superseded,
            "problems": sorted(self.problems.names),
            "problem_count": self.problems.count,
            "folders": self.folders,
            "full_pass": self.full_pass,
        }
