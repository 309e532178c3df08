#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_streams_plan
short_description: Tell under which prefix the streams of a backup set come back
description:
  - Topics that were restored once are consumed at once, so they can't be restored to again. This module finds the
    prefix that a restore has begun with, or a new one.
  - Used by the role P(nuxeo.platform.restore#role).
version_added: 1.0.0
author: Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.attributes.read_only
options:
  manifest:
    description: The manifest of the set. It must hold streams.
    type: dict
    required: true
  target:
    description: The target as it will be, RV(nuxeo.platform.restore_target_info#module:target).
    type: dict
    required: true
  marker:
    description: What an earlier restore has noted there, RV(nuxeo.platform.restore_target_info#module:marker).
    type: dict
    default: {}
  unchanged:
    description: Whether the database is as a restore of this very set has left it, and is to stay so.
    type: bool
    default: false
  instance:
    description: The instance that the target is.
    type: str
    required: true
  prefix:
    description:
      - The prefix that the operator gives.
      - Default is the source's prefix followed by the id of the set and a dash, C(nuxeo-20261123T020004Z-), with the
        name of a clone, C(nuxeo-20261123T020004Z-staging-), and with a number where that has been used before.
    type: str
    default: ''
seealso:
  - module: nuxeo.platform.kafka_topic_replicate
"""

EXAMPLES = r"""
- name: Where would the streams go
  nuxeo.platform.restore_streams_plan:
    manifest: "{{ found.manifest }}"
    target: "{{ place.target }}"
    instance: acme
    marker: "{{ place.marker }}"
"""

RETURN = r"""
prefix:
  description: The new prefix.
  returned: success
  type: str
  sample: nuxeo-20261123T020004Z-
source:
  description: The prefix that the set is of.
  returned: success
  type: str
  sample: nuxeo-
state:
  description: The file in which the copy keeps how far it is.
  returned: success
  type: str
lines:
  description: The plan, for people.
  returned: success
  type: list
  elements: str
problems:
  description: Every problem found.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import streams
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_problems


def main() -> None:
    """Ansible calls this."""
    module = AnsibleModule(
        argument_spec={
            "manifest": {"type": "dict", "required": True},
            "target": {"type": "dict", "required": True},
            "marker": {"type": "dict", "default": {}},
            "unchanged": {"type": "bool", "default": False},
            "instance": {"type": "str", "required": True},
            "prefix": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    p = module.params
    found = streams.plan(p["manifest"], p["target"], p["marker"], p["unchanged"], p["prefix"], p["instance"])
    fail_json_on_problems(module, "Restore of streams", found["problems"])
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
