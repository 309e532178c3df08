# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what is wrong with a nuxeo.conf, and where."""

from __future__ import annotations

import dataclasses

from .._errors import PlatformError


class ConfError(PlatformError):
    """A configuration that cannot be read, that Nuxeo itself would refuse, or that cannot be changed."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a property was set."""

    file: str
    line: int
    name: str

    def __str__(self) -> str:
        return f"property '{self.name}' at {self.file}:{self.line}"


def refused(origin: Origin | str, why: str, todo: str = "") -> ConfError:
    """The error for a file that Nuxeo's own launcher refuses."""
    return ConfError(f"Reading of {origin}", why, todo or "Nuxeo itself does not start with this file: correct it")
