# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: which host this is, and whether a saved configuration is of this very one."""

from __future__ import annotations

import hashlib
import platform

MACHINE = "/etc/machine-id"
BOOT = "/proc/sys/kernel/random/boot_id"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Names that mean another host on each host."""


def this_host(machine: str = MACHINE, boot: str = BOOT) -> str:
    """What tells this host from others: a digest of its name and its machine id, which is nobody else's to know.

    A copy of a virtual machine has another name, a container has no machine id: then it is this boot of its kernel.
    """
    identity = _text(machine) or _text(boot)
    return hashlib.sha256(f"nuxeo.platform\0{platform.node()}\0{identity}".encode()).hexdigest() if identity else ""


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return ""
