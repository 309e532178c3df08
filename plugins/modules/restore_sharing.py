#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_sharing
short_description: Find out which nodes share the data folder of their leader
description:
  - Each node leaves a file C(.nuxeo-platform-here-*) in its data folder, looks for those of the other nodes, and
    removes its own. What one of two nodes sees, and the other does not, is a failure.
  - Used by the role P(nuxeo.platform.restore#role).
version_added: 1.0.0
author: Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.attributes
attributes:
  check_mode:
    support: none
    details: Without a file of each node nothing is known. It is skipped.
  diff_mode:
    support: none
    details: There is nothing to show.
  idempotent:
    support: partial
    details: O(state=present) leaves another file each time.
options:
  state:
    description:
      - V(present) leaves the file of this node, V(seen) looks for those of all, V(absent) removes that of this node.
      - V(known) concludes from what all of them have seen, and touches no file.
    type: str
    choices: [present, seen, absent, known]
    required: true
  data_dir:
    description: The data folder of this node. One that is absent is its own. Required unless O(state=known).
    type: path
  run_id:
    description: The run, as M(nuxeo.platform.restore_lease) told it. Required for O(state=present).
    type: str
  names:
    description:
      - The files, as RV(name) told them. Required for O(state=seen), and of this node alone for O(state=absent).
    type: list
    elements: str
  leader:
    description: The node whose folder it is about. Required for O(state=known).
    type: str
  sights:
    description: For each node RV(name), RV(reason) and RV(absent), and RV(seen). Required for O(state=known).
    type: dict
seealso:
  - module: nuxeo.platform.restore_lease
"""

EXAMPLES = r"""
- name: Leave a file
  nuxeo.platform.restore_sharing:
    state: present
    data_dir: /var/lib/nuxeo/data
    run_id: "{{ turn.run_id }}"
  register: left

- name: Look for the files of both nodes
  nuxeo.platform.restore_sharing:
    state: seen
    data_dir: /var/lib/nuxeo/data
    names: ["{{ hostvars['node1'].left.name }}", "{{ hostvars['node2'].left.name }}"]
  register: found

- name: Who has the folder of node1
  nuxeo.platform.restore_sharing:
    state: known
    leader: node1
    sights:
      node1: "{{ hostvars['node1'].left | combine(hostvars['node1'].found) }}"
      node2: "{{ hostvars['node2'].left | combine(hostvars['node2'].found) }}"
"""

RETURN = r"""
name:
  description: The name of the file, empty where none could be left.
  returned: O(state=present)
  type: str
  sample: .nuxeo-platform-here-5f0c6a1de3b94e07-91c2d0aa63f7be15
reason:
  description: Why it could not be left.
  returned: O(state=present)
  type: str
  sample: Permission denied
absent:
  description: Whether this node has no such folder.
  returned: O(state=present)
  type: bool
  sample: false
seen:
  description: Those of O(names) that are there.
  returned: O(state=seen)
  type: list
  elements: str
  sample: [".nuxeo-platform-here-5f0c6a1de3b94e07-91c2d0aa63f7be15"]
sharing:
  description: The nodes that have the folder of the leader.
  returned: O(state=known)
  type: list
  elements: str
  sample: [node2]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.sharing import leave, look, remove, sharing
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error


def main() -> None:
    """Ansible calls this."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "seen", "absent", "known"], "required": True},
            "data_dir": {"type": "path"},
            "run_id": {"type": "str"},
            "names": {"type": "list", "elements": "str"},
            "leader": {"type": "str"},
            "sights": {"type": "dict"},
        },
        required_if=[
            ("state", "present", ("data_dir", "run_id")),
            ("state", "seen", ("data_dir", "names")),
            ("state", "absent", ("data_dir", "names")),
            ("state", "known", ("leader", "sights")),
        ],
    )
    p = module.params
    with fail_json_on_error(module):
        if p["state"] == "present":
            left = leave(p["data_dir"], p["run_id"])
            module.exit_json(changed=bool(left["name"]), **left)
        if p["state"] == "seen":
            module.exit_json(changed=False, seen=look(p["data_dir"], p["names"]))
        if p["state"] == "known":
            module.exit_json(changed=False, sharing=sharing(p["leader"], p["sights"]))
        removed = [remove(p["data_dir"], name) for name in p["names"]]
    module.exit_json(changed=any(removed))


if __name__ == "__main__":
    main()
