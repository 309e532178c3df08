# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: whether Nuxeo heeds a change of nuxeo.conf, or goes on with files generated before."""

from __future__ import annotations

import os

from .configuration import Configuration

FORCE = "nuxeo.force.generation"


def regenerates(configuration: Configuration) -> bool:
    """Whether the next start generates the server's files anew: it is told to, or there are none yet."""
    told = configuration.get(FORCE) or ""
    if told in ("true", "once") or (told.lower() == "true" and not configuration.line.modern):
        return True
    context = configuration.get("org.nuxeo.ecm.contextPath") or "/nuxeo"
    return not os.path.exists(f"{configuration.home}/conf/Catalina/localhost/{context[1:]}.xml")


def unheeded(conf: str, names: str) -> str:
    """The problem of a change that would have no effect."""
    return (
        f"Change of '{conf}': {FORCE} is not true there, so Nuxeo would go on with the files that it has generated "
        f"before, and not see {names}. Set {FORCE} to true or once, in nuxeo.conf or by restore_properties."
    )
