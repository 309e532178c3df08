# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of modules that take a lease. Their action plugin sets all but the first."""

    DOCUMENTATION = r"""
options:
  lease_timeout:
    description: After how many seconds without a sign of life a run of another controller is taken to be gone.
    type: int
    default: 900
  controller:
    description: The process that runs the playbook. Set by the action plugin, which also sets O(node) and O(gone).
    type: dict
  node:
    description: The inventory name of the node.
    type: str
  gone:
    description: The run ids whose controller process is known to have ended.
    type: list
    elements: str
    default: []
"""
