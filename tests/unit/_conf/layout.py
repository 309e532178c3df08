# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a host on which an instance is looked for."""

from __future__ import annotations

from pathlib import Path


def home_at(root: Path, name: str = "opt/nuxeo/server") -> Path:
    """A home with templates and a nuxeo.conf."""
    home = root / name
    (home / "templates").mkdir(parents=True)
    (home / "bin").mkdir()
    (home / "bin/nuxeo.conf").write_text("", encoding="utf-8")
    return home


def write_unit(root: Path, text: str, name: str = "etc/systemd/system/nuxeo.service") -> None:
    """The file of a systemd unit, or of another name."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
