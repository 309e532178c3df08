# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of modules that read a secret from nuxeo.conf on the node."""

    DOCUMENTATION = r"""
options:
  nuxeo_conf:
    description:
      - The C(nuxeo.conf) of the instance, on the node.
      - Secrets are read from it on the node, through the same rules as M(nuxeo.platform.nuxeo_conf_facts), and leave
        the module in no way.
    type: path
  nuxeo_home:
    description:
      - E(NUXEO_HOME) of the instance.
      - Default as in M(nuxeo.platform.nuxeo_conf_facts).
    type: path
  nuxeo_environment:
    description:
      - The environment of the Nuxeo process, for C(${env:NAME}) in the configuration.
      - Default as in M(nuxeo.platform.nuxeo_conf_facts).
    type: dict
  nuxeo_version:
    description:
      - The version of Nuxeo.
      - Default as in M(nuxeo.platform.nuxeo_conf_facts).
    type: str
"""
