# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: which rules a version of Nuxeo follows."""

from __future__ import annotations

import dataclasses
import re

from .errors import ConfError


@dataclasses.dataclass(frozen=True)
class Line:
    """The rules of one line of versions. Two families: up to 10.10, and since 2021 (that is 11.5)."""

    name: str
    modern: bool
    """2021 and later: the launcher was rewritten there."""
    encoding: str
    """latin1, guess-512 (10.10), guess (2021), utf-8."""
    env: bool = True
    """``${env:NAME}`` is known."""
    profiles: bool = True
    """NUXEO_PROFILES is known."""
    greedy_default: bool = False
    """The default of ``${a:=b}`` runs to the last brace of the value."""
    strict_cipher: bool = False
    """The parts of an encrypted value hold no ``$``."""
    skips_files: bool = False
    """A plain file that is named as a template is passed over: newer Java takes it for a folder without defaults."""
    secondary: tuple[str, str, tuple[str, ...]] | None = None
    """Computed second database template: its property, the property of its type, the known names."""
    databases: tuple[str, ...] = ("default", "mongodb", "postgresql", "oracle", "mysql", "mariadb", "mssql", "db2")


_SECONDARY = ("nuxeo.dbnosqltemplate", "nuxeo.dbsecondary.type", ("none", "marklogic"))

LINES = {
    "8.10": Line(
        "8.10",
        False,
        "latin1",
        env=False,
        profiles=False,
        greedy_default=True,
        secondary=("nuxeo.dbnosqltemplate", "nuxeo.dbnosql.type", ("none", "mongodb", "marklogic")),
        databases=("default", "postgresql", "oracle", "mysql", "mssql", "db2"),
    ),
    "9.10": Line("9.10", False, "latin1", profiles=False, greedy_default=True, secondary=_SECONDARY),
    "10.10": Line("10.10", False, "guess-512", secondary=_SECONDARY),
    "2021": Line("2021", True, "guess", strict_cipher=True),
    "2023": Line("2023", True, "utf-8", strict_cipher=True),
    "2025": Line("2025", True, "utf-8", strict_cipher=True, skips_files=True),
}


def line_of(version: str) -> Line:
    """The line that a version such as ``10.10-HF31``, ``2021.48.7`` or ``2023`` belongs to.

    :raises ConfError: for a version whose rules are not known
    """
    found = re.match(r"\D*(\d+)(?:\.(\d+))?", version)
    if found:
        major = int(found.group(1))
        for least, name in ((2025, "2025"), (2023, "2023"), (2021, "2021"), (11, "2021"), (10, "10.10"), (9, "9.10")):
            if major >= least and (major < 12 or major >= 2021):
                return LINES[name]
        if major == 8:
            return LINES["8.10"]
    raise ConfError(
        f"Reading of Nuxeo's version '{version}'",
        "the rules of its configuration are not known; known are " + ", ".join(LINES),
        "Name the version that is nearest to it by nuxeo_version",
    )
