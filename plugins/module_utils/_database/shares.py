# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: which part of a dump the owner to be restores, and which only a superuser may make."""

from __future__ import annotations

import re
import typing as t

from .archive import Archive

_ABOUT = "(?:(?:COMMENT|SECURITY LABEL) - )?"

MADE = re.compile(_ABOUT + "(?:FOREIGN DATA WRAPPER|SERVER|USER MAPPING|OPERATOR (?:CLASS|FAMILY)) ")
"""What others need, foreign tables and indexes (Nuxeo's of ids of type uuid): it keeps its place."""

FUNCTION = re.compile("(?:FUNCTION|PROCEDURE) ")

LAST = re.compile(_ABOUT + "(?:EVENT TRIGGER|SUBSCRIPTION) |(?:COMMENT|SECURITY LABEL) - PUBLICATION ")

PRIVILEGES = re.compile("(?:DEFAULT )?ACL |MATERIALIZED VIEW DATA ")
"""Of whatever owner; a superuser grants as that owner does. What a view is filled with may need them."""

OF_THE_SERVER = re.compile("ACL (?:- (?:LANGUAGE|FOREIGN DATA WRAPPER|FOREIGN SERVER)|pg_catalog) ")
"""Privileges on what the owner to be does not own."""

CAST = re.compile(r"(?:CAST|COMMENT) \S+ (CAST \(.*\))")

DEFAULTS = re.compile("DEFAULT ACL .*? DEFAULT PRIVILEGES FOR (?:LARGE OBJECTS|[A-Z]+) (.*)")

MAPPED = re.compile("USER MAPPING - USER MAPPING (.*) SERVER ")

PUBLICATION = re.compile(r"PUBLICATION - (.*) \S+")


class Shares(t.NamedTuple):
    """Numbers of entries in the archive: what a superuser restores among and after what the owner to be restores."""

    among: t.FrozenSet[int] = frozenset()
    after: t.FrozenSet[int] = frozenset()


def shares(made: Archive, casts: t.Container[str] = (), functions: t.Container[int] = ()) -> Shares:
    """What of the archive a superuser restores without acting for the owner.

    :param casts: those between the server's own types
    :param functions: those in languages for superusers, by their object ids
    """
    wide = {number for number, _what in _wide_publications(made)}
    among = {
        number for number, oid, what in made.entries if _is_superusers(oid, what, functions) or cast(what) in casts
    }
    after = {number for number, _oid, what in made.entries if LAST.match(what) or PRIVILEGES.match(what)}
    return Shares(frozenset(among), frozenset(after | wide))


def cast(what: str) -> str | None:
    """The cast that an entry is, or is a comment on."""
    found = CAST.match(what)
    return found and found.group(1)


def _is_superusers(oid: int, what: str, functions: t.Container[int]) -> bool:
    return bool(MADE.match(what) or (FUNCTION.match(what) and oid in functions))


def superusers(made: Archive, privileges: bool, functions: t.Container[int] = ()) -> list[str]:
    """What of the archive nobody but a superuser may restore. Functions as for :func:`shares`."""
    found = [what for _number, what in _wide_publications(made)]
    for _number, oid, what in made.entries:
        if _is_superusers(oid, what, functions) or LAST.match(what) or (privileges and OF_THE_SERVER.match(what)):
            found.append(what)
    return sorted(what for what in found if not what.startswith(("COMMENT ", "SECURITY LABEL ")))


def default_roles(made: Archive) -> set[str]:
    """The roles whose default privileges the archive sets."""
    return {found.group(1) for found in (DEFAULTS.match(what) for _number, _oid, what in made.entries) if found}


def mapped_roles(made: Archive) -> set[str]:
    """The roles for which the archive has user mappings of their own."""
    found = {match.group(1) for match in (MAPPED.match(what) for _number, _oid, what in made.entries) if match}
    return found - {"public"}


def _wide_publications(made: Archive) -> list[tuple[int, str]]:
    """Publications of all tables, or of all in a schema: the first name no table, the others a schema."""
    entries = [(number, what) for number, _oid, what in made.entries if what.startswith("PUBLICATION ")]
    found = []
    for name in {match.group(1) for match in (PUBLICATION.match(what) for _number, what in entries) if match}:
        own = [(number, what) for number, what in entries if f" {name} " in what]
        kinds = {what.split(" ")[1] for _number, what in own}
        if "TABLES" in kinds or "TABLE" not in kinds:
            found += own
    return found
