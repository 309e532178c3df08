# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses a command line with a variable that is nearly one of this collection's."""

from __future__ import annotations

import pathlib
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars
from ansible_collections.nuxeo.platform.plugins.action.long_step import LOST
from ansible_collections.nuxeo.platform.plugins.module_utils._variables import known, misspelt

COLLECTION = pathlib.Path(__file__).resolve().parents[2]


class ActionModule(ActionBase):
    """Nothing is done on a host."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the task."""
        super().run(tmp, task_vars)
        self.validate_argument_spec(argument_spec={})
        found = misspelt(load_extra_vars(self._loader), known(COLLECTION) | {LOST})
        if not found:
            return {"changed": False}
        told = ", ".join(f"'{name}' (is it {meant}?)" for name, meant in sorted(found.items()))
        why = f"nothing reads {told}, so a default would be taken"
        todo = "Correct it; a variable of your own that is called so may stand in the inventory"
        return {"changed": False, "failed": True, "msg": f"Look at the variables of this command: {why}. {todo}."}
