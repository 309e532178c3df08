# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the URL under which a node reaches itself."""

from __future__ import annotations

import ipaddress
import socket
import typing as t


def loopback_url(get: t.Callable[[str], str | None]) -> str:
    """What the launcher computes for ``nuxeo.loopback.url`` from the bind address, the port and the context."""
    port, context = (get(name) or "null" for name in ("nuxeo.server.http.port", "org.nuxeo.ecm.contextPath"))
    return f"http://{own_address(get('nuxeo.bind.address'))}:{port}{context}"


def own_address(bind_address: str | None) -> str:
    """The address at which a node reaches itself, as it stands in a URL."""
    address = _address(bind_address or "127.0.0.1")
    return f"[{address}]" if ":" in address else address


def _address(host: str) -> str:
    try:
        parsed = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        if host == "localhost":
            return "127.0.0.1"
        try:
            found = socket.getaddrinfo(host, None, socket.AF_INET)
        except OSError:
            return host
        return str(found[0][4][0])
    if parsed.is_unspecified:
        return "127.0.0.1"
    if isinstance(parsed, ipaddress.IPv6Address):
        return ":".join(f"{int(group, 16):x}" for group in parsed.exploded.split(":"))
    return str(parsed)
