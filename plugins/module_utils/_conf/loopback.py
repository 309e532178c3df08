# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the URL under which a node reaches itself."""

from __future__ import annotations

import ipaddress
import socket
import typing as t

from .errors import Origin, refused

BIND = "nuxeo.bind.address"
LOCAL = "127.0.0.1"


def loopback_url(get: t.Callable[[str], str | None], origin: Origin) -> str:
    """What the launcher computes for ``nuxeo.loopback.url`` from the bind address, the port and the context.

    :param origin: where the bind address was set
    """
    values = (get(name) for name in ("nuxeo.server.http.port", "org.nuxeo.ecm.contextPath"))
    port, context = ("null" if value is None else value for value in values)
    return f"http://{own_address(get(BIND), origin)}:{port}{context}"


def own_address(bind_address: str | None, origin: Origin | str = f"property '{BIND}'") -> str:
    """The address at which a node reaches itself, as it stands in a URL.

    :raises ConfError: for one that Java does not find: the launcher stops there
    """
    try:
        found = _address(bind_address or LOCAL)
    except (OSError, ValueError) as error:
        why = "it is no address, and no name that this host can look up"
        raise refused(origin, why, "Correct it, or set nuxeo.loopback.url") from error
    if isinstance(found, ipaddress.IPv6Address):
        return "[" + ":".join(f"{int(group, 16):x}" for group in found.exploded.split(":")) + "]"
    return str(found)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """As ``InetAddress.getByName``: a literal, or the first address of a name, IPv4 before IPv6."""
    found: ipaddress.IPv4Address | ipaddress.IPv6Address
    if ":" in host or "[" in host:
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        found = ipaddress.IPv6Address(bare)
        found = found.ipv4_mapped or found
    else:
        found = ipaddress.ip_address(_looked_up(host))
    return ipaddress.IPv4Address(LOCAL) if found.is_unspecified else found


def _looked_up(host: str) -> str:
    """Short forms of an IPv4 address are known there too."""
    addresses = sorted(socket.getaddrinfo(host, None), key=lambda one: one[0] != socket.AF_INET)
    return str(addresses[0][4][0])
