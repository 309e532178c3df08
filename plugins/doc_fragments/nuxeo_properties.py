# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The option of modules that work on a target before its nuxeo.conf says what it is to be."""

    DOCUMENTATION = r"""
options:
  nuxeo_properties:
    description:
      - Properties with which O(nuxeo_conf) is read as if they were set in it, since they will be. Without secrets.
      - A restore guard in the file is then read over.
    type: dict
"""
