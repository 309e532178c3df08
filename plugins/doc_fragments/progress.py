# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The option of every long step."""

    DOCUMENTATION = r"""
options:
  progress:
    description:
      - A file on the node that is written every few seconds while the module works. JSON with the keys V(phase),
        V(done), V(total), V(unit) and V(updated) (ISO 8601, UTC). A copy of blobs adds V(bytes_copied), and one into a
        pool V(blobs), how many are done; a proof of blobs adds V(bytes_read).
      - It is also the heartbeat of the run. When it cannot be written any more the module stops, since another run has
        taken the place of this one.
      - With C(async) and C(poll) what it says is shown every half minute.
    type: path
"""
