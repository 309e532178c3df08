# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a benchmark takes place, how large it is, and what is done so that no measurement pays for another."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]

COUNT = int(os.environ.get("BENCH_BLOBS_COUNT", "300000"))
TINY = int(os.environ.get("BENCH_BLOBS_TINY", "2000000"))
ROUNDS = int(os.environ.get("BENCH_BLOBS_ROUNDS", "5"))
ROOT = Path(os.environ.get("BENCH_BLOBS_FOLDER", REPO / "build" / "bench" / "blobs"))
SIZE = 8192
IMAGE = ROOT.with_suffix(".img")
KEPT = ROOT.with_suffix(".times.json")
GRACE = 61
"""ext4 passes over inodes that were given back within a minute, one by one: whoever creates files then is slow."""

CACHES = Path("/proc/sys/vm/drop_caches")


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def mounted() -> None:
    """ROOT, on a file system of its own where that can be."""
    ROOT.mkdir(parents=True, exist_ok=True)
    if os.geteuid() or os.path.ismount(ROOT):
        return
    if not IMAGE.exists():
        subprocess.run(["fallocate", "-l", "32G", str(IMAGE)], check=True)
        lazy = "lazy_itable_init=0,lazy_journal_init=0"
        subprocess.run(["mkfs.ext4", "-q", "-F", "-N", "9000000", "-E", lazy, str(IMAGE)], check=True)
    argv = ["losetup", "--direct-io=on", "--show", "-f", str(IMAGE)]
    device = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run(["mount", device, str(ROOT)], check=True)
    subprocess.run(["losetup", "-d", device], check=True)  # when it is unmounted


def clean() -> None:
    """All that was made, but for the report."""
    if os.path.ismount(ROOT):
        subprocess.run(["umount", str(ROOT)], check=True)
    remove(ROOT, IMAGE, KEPT)


def remove(*paths: Path) -> None:
    for path in paths:
        subprocess.run(["rm", "-rf", str(path)], check=True)


def discard(*paths: Path) -> None:
    """Remove what is large, and let the file system forget it."""
    remove(*paths)
    os.sync()
    time.sleep(GRACE)


def settle() -> None:
    """Nothing of what was before is paid for by what comes."""
    os.sync()
    time.sleep(0.5)


def cold() -> None:
    """Drop what is cached, where that is allowed."""
    os.sync()
    with contextlib.suppress(OSError):
        CACHES.write_text("3")
