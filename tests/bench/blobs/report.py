# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured: kept from part to part, and told."""

from __future__ import annotations

import json
import os
import statistics
import typing as t

from blobs.place import COUNT, KEPT, ROOT, TINY, say

RATIOS = [
    ("noop_vs_find", "noop", "noop_find"),
    ("noop_vs_rsync", "noop_rsync", "noop"),
    ("noop_vs_restic", "noop_restic", "noop"),
    ("noop_vs_borg", "noop_borg", "noop"),
    ("noop_vs_rclone", "noop_rclone", "noop"),
    ("full_vs_rsync", "full_rsync", "full"),
    ("full_vs_cp", "full_cp", "full"),
    ("ssh_full_vs_rsync", "ssh_full_rsync", "ssh_full"),
    ("ssh_noop_vs_rsync", "ssh_noop_rsync", "ssh_noop"),
]
FLOORS = {
    "noop": "noop_find",
    "noop_rsync": "noop_find",
    "noop_restic": "noop_find",
    "noop_borg": "noop_find",
    "noop_rclone": "noop_find",
    "full": "full_tar",
    "full_rsync": "full_tar",
    "full_cp": "full_tar",
    "verify": "verify_tar",
}


class Measures:
    """Of all parts that were run. A part that is run again replaces what it has measured before."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}
        self.other: dict[str, t.Any] = {}
        self._new: set[str] = set()
        if KEPT.exists():
            self.times, self.other = json.loads(KEPT.read_text(encoding="utf-8"))

    def take(self, name: str, seconds: float) -> None:
        if name not in self._new:
            self._new.add(name)
            self.times[name] = []
        self.times[name].append(seconds)
        say(f"  {name}: {seconds:.3f} s")

    def median(self, name: str) -> float:
        return statistics.median(self.times[name])

    def ratios(self) -> dict[str, float]:
        """Of the medians; of the parts that were run."""
        found: dict[str, float] = {}
        for name, above, below in RATIOS:
            if above in self.times and below in self.times:
                found[name] = self.median(above) / self.median(below)
        if "new1000" in self.times:
            found["new1000_extra_s"] = self.median("new1000") - self.median("new_noop")
        if "verify" in self.times:
            found["verify_vs_floor"] = self.other["verify_bytes_per_s"] / self.other["verify_floor"]
        others = ("touched_bytes", "rss_mb", "records_rss_mb", "result_kb")
        found.update({name: self.other[name] for name in others if name in self.other})
        return {name: round(value, 3) for name, value in found.items()}

    def table(self) -> str:
        """Each median beside its floor."""
        lines = ["| what | median s | spread s | floor s |", "| --- | --- | --- | --- |"]
        for name, times in self.times.items():
            floor = f"{self.median(FLOORS[name]):.3f} ({FLOORS[name]})" if FLOORS.get(name) in self.times else ""
            lines.append(f"| {name} | {self.median(name):.3f} | {min(times):.3f} to {max(times):.3f} | {floor} |")
        return "\n".join(lines)

    def report(self) -> None:
        """Keep all, and write it."""
        KEPT.write_text(json.dumps([self.times, self.other]), encoding="utf-8")
        said = {
            "ratios": self.ratios(),
            "medians": {name: round(self.median(name), 4) for name in self.times},
            "times": self.times,
            "other": self.other,
            "blobs": COUNT,
            "tiny_blobs": TINY,
            "processors": len(os.sched_getaffinity(0)),
            "kernel": os.uname().release,
        }
        (ROOT.parent / "blobs.json").write_text(json.dumps(said, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        print(self.table())
        print(json.dumps({"ratios": said["ratios"], **self.other}, indent=2), flush=True)
