# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module that takes a lease, and tells it which process of this host, the controller, runs the playbook.

Only here can be seen whether the process that holds the lease is still there.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.nuxeo.platform.plugins.action.long_step import LongStep
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.controller import identity, is_alive, is_dead


class ActionModule(LongStep):
    """One call of the module, and one more for each lease that it found whose holder has ended."""

    module = "nuxeo.platform.backup_set"

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the task."""
        variables = task_vars or {}
        super().run(tmp, variables)
        arguments = {
            **self._task.args,
            "controller": identity(os.getppid()),  # this is a worker: the playbook's own process is its parent
            "node": variables.get("inventory_hostname"),
        }
        gone: list[str] = []
        while True:  # a backup looks at the lease of restores too, and the reverse: two may be left by killed runs
            result: dict[str, t.Any] = self._module(self.module, {**arguments, "gone": gone}, variables)
            holder = result.get("holder")
            if not result.get("failed") or not isinstance(holder, dict) or holder.get("run_id") in gone:
                return result
            process = holder.get("controller") or {}
            if not is_dead(process) and (is_alive(process) or not holder.get("quiet")):
                return result
            gone.append(str(holder.get("run_id")))
