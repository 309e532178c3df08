# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports for servers that tests start. Here, because Molecule's hosts get this folder alone."""

from __future__ import annotations

import contextlib
import random
import socket
import typing as t

RANGE = range(12000, 32000)
"""Below the ports that Linux gives to clients (from 32768): a server takes its port long after it was found free, and
is without it while it is restarted. Which one is left to chance, so that tests side by side do not find the same."""

_chance = random.SystemRandom()


def free_ports(count: int) -> t.List[int]:
    """Different loopback ports that nobody listens on just now."""
    with contextlib.ExitStack() as held:
        found: t.List[int] = []
        while len(found) < count:
            port = _chance.choice(RANGE)
            with contextlib.suppress(OSError):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
                found.append(port)
        return found


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]
