# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: options that more than one module has, declared once beside their doc fragment."""

from __future__ import annotations

import typing as t

Spec = t.Dict[str, t.Dict[str, t.Any]]

NUXEO_CONF: Spec = {
    "nuxeo_conf": {"type": "path"},
    "nuxeo_home": {"type": "path"},
    "nuxeo_environment": {"type": "dict"},
    "nuxeo_version": {"type": "str"},
}
"""Where a module reads a secret on the node: doc fragment nuxeo.platform.nuxeo_conf."""

NUXEO_PROPERTIES: Spec = {"nuxeo_properties": {"type": "dict"}}
"""Doc fragment nuxeo.platform.nuxeo_properties."""

BACKUP_ROOT: Spec = {
    "root": {"type": "path", "required": True},
    "instance": {"type": "str", "required": True},
}
"""Doc fragment nuxeo.platform.backup_root."""

PROGRESS: Spec = {"progress": {"type": "path"}}
"""Doc fragment nuxeo.platform.progress."""

LEASE: Spec = {
    "lease_timeout": {"type": "int", "default": 900},
    "controller": {"type": "dict"},
    "node": {"type": "str"},
    "gone": {"type": "list", "elements": "str", "default": []},
}
"""Doc fragment nuxeo.platform.lease."""
