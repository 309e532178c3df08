# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: which nuxeo.conf, which NUXEO_HOME and which environment, when they were not given.

In this order: the running server, the systemd unit that starts it, the places that the packages and the images use. Of
a server that we have stopped ourselves, the environment is kept, and completes what the unit says. That of the caller's
shell is never looked at: it is not the one that Nuxeo runs in.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .errors import ConfError
from .kept import kept
from .process import FIXED, Running, environment_of, running, same_file
from .unit import Unit, matching, units

KNOWN = (
    ("/etc/nuxeo/nuxeo.conf", "/var/lib/nuxeo/server"),
    ("/etc/nuxeo/nuxeo.conf", "/opt/nuxeo/server"),
    ("/opt/nuxeo/conf/nuxeo.conf", "/opt/nuxeo/server"),
    ("/opt/nuxeo/server/bin/nuxeo.conf", "/opt/nuxeo/server"),
    ("/var/lib/nuxeo/server/bin/nuxeo.conf", "/var/lib/nuxeo/server"),
    ("/opt/nuxeo/bin/nuxeo.conf", "/opt/nuxeo"),
)
TODO = "Name them by nuxeo_conf_path and nuxeo_home (the module's own options)"


@dataclasses.dataclass(frozen=True)
class Place:
    """What is needed to resolve a configuration."""

    conf: str
    home: str
    environment: t.Mapping[str, str]


def locate(
    path: str | None, home: str | None, environment: t.Mapping[str, str] | None, proc: str = "/proc", root: str = ""
) -> Place:
    """Complete what was given.

    :param proc: the process file system
    :param root: where the known places and the unit files are looked for, for tests
    """
    if path is not None and home is not None and environment is not None:
        return Place(path, home, environment)
    conf = path
    server = _only_server(conf, home, proc)
    unit, values = _only_unit(server.conf if server else conf, home, root)
    if server is not None:
        conf = conf or _unfixed(server.conf)
        home = home or server.home
    if unit is not None:
        home = home or values.get("NUXEO_HOME") or unit.home or None
        conf = conf or values.get("NUXEO_CONF") or (f"{home}/bin/nuxeo.conf" if home else None)
    if conf is None and home is not None:
        conf = _only_conf(home, root)
    conf, home = _known(conf, home, root)
    if environment is None:
        environment = _own_environment(server, proc) if server else _completed(unit, values, conf)
        if environment is None:
            return locate(path, home, None, proc, root)
    return Place(conf, home, environment)


def _own_environment(server: Running, proc: str) -> dict[str, str] | None:
    """None when it has ended meanwhile."""
    try:
        return environment_of(server.pid, proc)
    except ConfError:
        if server in running(proc=proc):
            raise
        return None


def _completed(unit: Unit | None, values: dict[str, str], conf: str) -> dict[str, str]:
    """That of a stopped server: what its unit says, which may have been corrected since, and what it ran in.

    A wrapper, a shell or systemd itself may have given it more.
    """
    former = kept(conf)
    if unit is None:
        return {**(former or {}), **values}
    files = unit.unsure_files()
    unsure = sorted({*unit.environment} - {*values, *(former or {})}) + ([] if former is not None else files)
    if unsure:
        raise ConfError(
            f"Reading of the environment of {unit.name}",
            f"what systemd makes of {', '.join(unsure)} is not known here",
            "Start Nuxeo first, or give it by nuxeo_environment",
        )
    return {**values, **(former or {})} if files else {**(former or {}), **values}


def _unfixed(conf: str) -> str:
    return conf[: -len(FIXED)] if conf.endswith(FIXED) else conf


def _only_server(conf: str | None, home: str | None, proc: str) -> Running | None:
    found = running(conf, proc)
    if conf is None and home is not None:
        found = [server for server in found if _is_of(server, home)]
    if len(found) > 1:
        told = ", ".join(f"{server.conf} (process {server.pid})" for server in found)
        raise ConfError("Search for the running Nuxeo", f"there are several: {told}", TODO)
    return found[0] if found else None


def _is_of(server: Running, home: str) -> bool:
    if server.home:
        return os.path.realpath(server.home) == os.path.realpath(home)
    return same_file(server.conf, f"{home}/bin/nuxeo.conf")


def _only_unit(conf: str | None, home: str | None, root: str) -> tuple[Unit | None, dict[str, str]]:
    found = []
    for unit in units(root):
        try:
            values = unit.full_environment(root)
        except OSError as error:
            if unit.home and not matching(unit, None, home or _home_above(conf), unit.own_environment()):
                continue  # of another instance, whatever its files say
            raise ConfError(
                f"Reading of the environment of {unit.name}",
                str(error),
                "Run as root, or give it by nuxeo_environment",
            ) from error
        if matching(unit, conf, home, values):
            found.append((unit, values))
    found = [one for one in found if one[0].is_direct] or found
    if len(found) > 1:
        told = ", ".join(unit.name for unit, _values in found)
        todo = f"{TODO}, and the environment by nuxeo_environment"
        raise ConfError("Search for the systemd unit of Nuxeo", f"there are several: {told}", todo)
    return found[0] if found else (None, {})


def _home_above(conf: str | None) -> str | None:
    """The home in whose folder ``bin`` a nuxeo.conf lies."""
    if conf is None:
        return None
    above = os.path.dirname(os.path.dirname(os.path.abspath(conf)))
    return above if _is_home(above) else None


def _only_conf(home: str, root: str) -> str | None:
    """The nuxeo.conf of a home that does not run. Of two, only the environment of its start tells which."""
    places = [f"{home}/bin/nuxeo.conf"]
    for conf, known_home in KNOWN:
        if os.path.realpath(root + known_home) == os.path.realpath(home):
            places.append(root + conf)
    found = {os.path.realpath(place): place for place in reversed(places) if os.path.exists(place)}
    if len(found) > 1:
        told = " and ".join(sorted(found.values()))
        raise ConfError(
            f"Search for the nuxeo.conf of '{home}'", f"there are several: {told}", "Name one by nuxeo_conf_path"
        )
    return next(iter(found.values()), None)


def _known(conf: str | None, home: str | None, root: str) -> tuple[str, str]:
    if conf is None:
        known = [(root + one, home or root + its_home) for one, its_home in KNOWN if os.path.exists(root + one)]
        conf, home = next(((one, _only_home(known)) for one, its_home in known if _is_home(its_home)), (None, None))
        if conf is None or home is None:
            raise ConfError(
                "Search for nuxeo.conf", "no running server, no systemd unit and no known place has one", TODO
            )
        return conf, home
    home = home or _home_above(conf) or _only_home([(conf, root + its_home) for _one, its_home in KNOWN])
    if home is None:
        raise ConfError(f"Search for the NUXEO_HOME of '{conf}'", "no known place has the templates", TODO)
    return conf, home


def _is_home(home: str) -> bool:
    return os.path.isdir(f"{home}/templates")


def _only_home(known: t.Sequence[tuple[str, str]]) -> str | None:
    """The one home of known places; an error for several, since each has templates of its own."""
    found = {os.path.realpath(home): home for _conf, home in reversed(known) if _is_home(home)}
    if len(found) > 1:
        told = " and ".join(sorted(found.values()))
        raise ConfError(f"Search for the NUXEO_HOME of '{known[0][0]}'", f"there are several: {told}", TODO)
    return next(iter(found.values()), None)
