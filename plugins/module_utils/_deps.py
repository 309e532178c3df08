# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: third-party libraries, each asked for in one place with its minimum and its reason."""

from __future__ import annotations

import importlib
import re
import sys
import types

from ._errors import PlatformError


def numbers(version: str) -> tuple[int, ...]:
    """``"2.16.1 (dt dec)"`` to ``(2, 16, 1)``, ``"18beta1"`` to ``(18,)``: what is compared."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def require(names: tuple[str, ...], package: str, minimum: str, reason: str) -> types.ModuleType:
    """Import the first of ``names`` that is there and new enough.

    :param names: module names in the order of preference, e.g. ``("psycopg", "psycopg2")``
    :param package: what to install, as pip names it
    :param minimum: the oldest version that will do, for the first name
    :param reason: what the library is needed for, e.g. ``to hold the snapshot while pg_dump runs``
    """
    found = []
    for name in names:
        try:
            library = importlib.import_module(name)
        except ImportError:
            continue
        version = str(getattr(library, "__version__", "0"))
        if name != names[0] or numbers(version) >= numbers(minimum):
            return library
        found.append(f"only {name} {version} found at {library.__file__}")
    raise PlatformError(
        f"Import of Python library {' or '.join(names)} on {sys.executable}",
        "; ".join(found) or f"it is not installed there, and is needed {reason}",
        f"Install {package}>={minimum} for that interpreter, or name another by ansible_python_interpreter",
    )
