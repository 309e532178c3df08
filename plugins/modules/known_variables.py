#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: known_variables
short_description: Refuse a misspelt variable of the command line
version_added: 1.0.0
description:
  - Fails when a variable that was given by C(-e), or by what starts the playbook in AWX, is none of this collection's
    and nearly called like one. Nothing would read it, and a default would be taken, such as all hosts in place of one.
  - Variables of the inventory and of playbooks are not looked at, for a site may have its own.
  - Everything is done on the controller.
author:
  - Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.attributes
attributes:
  check_mode:
    support: full
    details: Nothing is ever changed.
  diff_mode:
    support: N/A
    details: Nothing is ever changed.
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: No variable of the command line is misspelt
  nuxeo.platform.known_variables:
"""

RETURN = r""" # """

# The work is done on the controller, by the action plugin of this name.
