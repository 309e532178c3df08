# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what an instance would be with other properties in its nuxeo.conf."""

from __future__ import annotations

import os
import tempfile
import typing as t

from .change import Plan, Properties, change
from .configuration import Configuration
from .database import URL, addresses, connects_by_url
from .facts import facts
from .generated import regenerates, unheeded
from .locate import Place, locate
from .resolve import resolve


def facts_with(
    properties: Properties,
    path: str | None = None,
    home: str | None = None,
    environment: t.Mapping[str, str] | None = None,
    version: str | None = None,
) -> dict[str, t.Any]:
    """The facts as :func:`resolve_with` finds them.

    :returns: the facts; beside them ``regenerates`` (whether the next start heeds a change), ``by_url`` (whether Nuxeo
        connects by its JDBC URL), ``unset`` (which of the properties the file does not have so) and ``guarded``
        (whether a restore guard stands in it); what it would not see of the properties is among ``unread``
    """
    place = locate(path, home, environment)
    configuration, plan = _resolved(properties, place, version)
    found = {
        **facts(configuration),
        "regenerates": regenerates(configuration),
        "by_url": connects_by_url(configuration),
        "unset": plan.properties_changed,
        "guarded": plan.guard_changed,
    }
    if not found["regenerates"]:
        found["unread"] = sorted({*plan.properties_changed, *found["unread"]})
    return {**found, "conf": os.path.abspath(place.conf)}


def resolve_with(
    properties: Properties | None,
    path: str | None = None,
    home: str | None = None,
    environment: t.Mapping[str, str] | None = None,
    version: str | None = None,
) -> Configuration:
    """Resolve nuxeo.conf as if the properties were set in it, and no restore guard stood; the file is not touched.

    Parameters as for :func:`resolve`.
    """
    if not properties:
        return resolve(path, home, environment, version, ignore_guard=True)
    return _resolved(properties, locate(path, home, environment), version)[0]


def _resolved(properties: Properties, place: Place, version: str | None) -> tuple[Configuration, Plan]:
    """By a copy that is owner-only and gone afterwards."""
    plan = change(
        path=place.conf,
        home=place.home,
        version=version,
        properties=properties,
        secret_properties={},
        present=True,
        restore_guard="absent",
    )
    with tempfile.TemporaryDirectory(prefix="nuxeo-platform-") as folder:
        copy = os.path.join(folder, "nuxeo.conf")
        with open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(plan.new)
        return resolve(copy, place.home, place.environment, version), plan


def without_effect(properties: Properties, found: t.Mapping[str, t.Any]) -> list[str]:
    """Which of the properties that say where a database is do not say it, since a JDBC URL of its own does, or does
    not. None of them does anything where Nuxeo does not read them.

    :param found: what :func:`facts_with` made of the properties
    """
    problems = []
    if found["unread"]:
        problems.append(unheeded(found["conf"], ", ".join(found["unread"])))
    if URL in properties and not found["by_url"]:
        problems.append(
            f"{URL} has no effect, with nuxeo.db.xaMode Nuxeo connects by nuxeo.db.host, nuxeo.db.port and "
            "nuxeo.db.name. Set these by restore_properties"
        )
    for key in ("host", "port", "name", "user"):
        name, used = f"nuxeo.db.{key}", str(found["database"].get(key) or "")
        wanted = str(properties.get(name) or used)
        if used not in (wanted, addresses(wanted, "postgresql")[0]):
            problems.append(
                f"{name}={wanted} has no effect, the database's {key} stays '{used}', as nuxeo.db.jdbc.url says. "
                "Set nuxeo.db.jdbc.url by restore_properties, or take it out of nuxeo.conf"
            )
    return problems
