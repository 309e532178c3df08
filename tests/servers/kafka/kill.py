# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of a module that are killed with all their processes at a point that a test chooses."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import typing as t
from pathlib import Path

from servers.kafka.tools import start_module


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the module and its workers, which are in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


class Stop:
    """A run of kafka_topic_replicate that ends when its state file has come to a point."""

    def __init__(self, copying: t.Any, after: str) -> None:
        self.copying, self.after = copying, after

    def reached(self) -> bool:
        try:
            data = json.loads(Path(self.copying.state).read_text())
        except (OSError, ValueError):
            return False
        if self.after == "plan":
            return True
        if self.after == "topics":
            return bool(data["topics"]) and all("id" in entry for entry in data["topics"].values())
        return bool(data["phase"] == self.after)

    def run(self, **options: t.Any) -> None:
        process = start_module("kafka_topic_replicate", self.copying.options(**options))
        end = time.monotonic() + 60
        while not self.reached():
            assert process.poll() is None and time.monotonic() < end, "the run was over before it could be killed"
        kill(process)
