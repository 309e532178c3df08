# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module restore_lease, as the action plugin of backup_set does its module."""

from __future__ import annotations

from ansible_collections.nuxeo.platform.plugins.action import backup_set


class ActionModule(backup_set.ActionModule):
    """See there."""

    module = "nuxeo.platform.restore_lease"
