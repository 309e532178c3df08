# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: which values are secrets, and how the rest is shown without those that hide in them."""

from __future__ import annotations

import re

_NAMES = re.compile(
    r"password|passwd|passphrase|pwd|secret|token|credential|jaas|private|api[._-]?key|access[._-]?key|account[._-]?key"
    r"|awsid|bindpassword|server\.status\.key|crypt\.|binarymanager_key|signature|keystore[._]?pass|\.pass$|clid$"
    r"|statuskey|^javax\.net\.ssl|connection[._-]?string|\bsas\b|\.key$",
    re.IGNORECASE,
)
_SHOWN = re.compile(r"crypt\.(keystore\.(path|file)|key\.?alias|serverside)$|user_?separator_?key$", re.IGNORECASE)
_USERINFO = re.compile(r"([a-z][a-z0-9+.\-]*://)[^/@\s]*@", re.IGNORECASE)
_ORACLE = re.compile(r"(jdbc:oracle:[a-z]+:)[^@]+@", re.IGNORECASE)
_PARAMETER = re.compile(
    r"([?&;,\s]|^)([^?&;,\s=]*(?:password|pwd|secret|token|accountkey|sharedaccess\w*|credential)[^?&;,\s=]*\s*=\s*)"
    r"(\"[^\"]*\"|'[^']*'|\{[^}]*\}|[^&;,\s]*)",
    re.IGNORECASE,
)
MASK = "********"


def is_secret(name: str) -> bool:
    """Whether a property is a secret, by its name."""
    return bool(_NAMES.search(name)) and not _SHOWN.search(name)


def mask(value: str) -> str:
    """A value without the secrets that URLs and connection strings carry."""
    value = _USERINFO.sub(rf"\g<1>{MASK}@", value)
    value = _ORACLE.sub(rf"\g<1>{MASK}@", value)
    return _PARAMETER.sub(rf"\g<1>\g<2>{MASK}", value)
