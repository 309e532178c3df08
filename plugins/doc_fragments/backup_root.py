# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Where the sets of an instance are."""

    DOCUMENTATION = r"""
options:
  root:
    description: The backup root. It must exist. A run makes the folder of the instance in it.
    type: path
    required: true
  instance:
    description: The name of the instance, which is the name of its folder.
    type: str
    required: true
"""
