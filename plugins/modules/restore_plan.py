#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_plan
short_description: Tell what a restore will do, and at once all that stands in its way
description:
  - Compares the target with the manifest of the set, and looks at the folders on the node on which it runs.
  - Fails with all problems in one message, before anything is changed.
  - Used by the role P(nuxeo.platform.restore#role).
version_added: 1.0.0
author: Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.attributes.read_only
options:
  instance:
    description: The instance onto which a set is restored.
    type: str
    required: true
  manifest:
    description: The manifest of the set.
    type: dict
    required: true
  nodes:
    description:
      - The nodes of the instance, as for O(nuxeo.platform.backup_preflight#module:nodes), with C(marker),
        C(occupied) and C(fixed) as M(nuxeo.platform.restore_target_info) told them on each.
    type: dict
    required: true
  leader:
    description: The name of the node on which this runs.
    type: str
    required: true
  target:
    description: The target as it will be, RV(nuxeo.platform.restore_target_info#module:target).
    type: dict
    required: true
  path:
    description: The folder of the set.
    type: path
    required: true
  pools:
    description:
      - Where the blobs of each store of the set are, RV(nuxeo.platform.backup_set_info#module:pools). Each blob
        that the target lacks has to be there, and what it lacks of those on this host has to have room.
    type: dict
    required: true
  rsh:
    description:
      - How a pool on another host is reached, as for O(nuxeo.platform.blob_verify#module:rsh).
    type: list
    elements: str
    default: [ssh, -o, BatchMode=yes, -o, ConnectTimeout=30, -o, ServerAliveInterval=15]
  blind:
    description: Nodes that do not see it.
    type: list
    elements: str
    default: []
  database:
    description: What the check of the target database returned.
    type: dict
    default: {}
  audit:
    description:
      - What goes into the search engine of the target. C(names) has the new name of each name of the set; the rest is
        what the check of M(nuxeo.platform.es_snapshot_restore) returned, C(cluster) too.
    type: dict
    default: {}
  blob_stores:
    description:
      - Blob stores of the target that C(nuxeo.conf) does not name, as for
        O(nuxeo.platform.backup_preflight#module:blob_stores).
    type: list
    elements: dict
    default: []
  overwrite:
    description: Whether a target that holds anything may be replaced.
    type: bool
    default: false
  drop_index:
    description:
      - Addresses of the search engine of the target when its index of documents will be deleted. That of the instance
        whose set it is stays when the target is another.
    type: list
    elements: str
    default: []
  streams:
    description:
      - Whether the streams that the set has come back. Where none do, a clone may not have the prefix of the instance
        whose set it is in the same Kafka; and without this streams in files need not come back to a target on Kafka.
    type: bool
    default: false
  owner:
    description: Owner of the files, as for O(nuxeo.platform.file_tree_copy#module:owner). It has to be known.
    type: str
  group:
    description: Likewise their group.
    type: str
  problems:
    description: Problems that other checks have found, told together with those found here.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: See what would be done
  nuxeo.platform.restore_plan:
    instance: acme
    leader: "{{ inventory_hostname }}"
    nodes: "{{ {inventory_hostname: {'facts': place.target, 'marker': place.marker, 'occupied': place.occupied}} }}"
    manifest: "{{ found.manifest }}"
    path: "{{ found.path }}"
    pools: "{{ found.pools }}"
    target: "{{ place.target }}"
"""

RETURN = r"""
already:
  description:
    - Whether this very set is there and its database has not changed since it was restored. V(false) with O(overwrite),
      since files but blobs are not looked at.
    - Where only C(nuxeo.conf) would change, this is a problem, since a server that runs would not see it.
  returned: success
  type: bool
data_dir:
  description: The data folder of the target.
  returned: success
  type: str
stores:
  description: The blob stores of the target, as M(nuxeo.platform.blob_rsync) takes them.
  returned: success
  type: list
  elements: dict
keep:
  description: Paths of those that stay where they are when the rest is moved aside.
  returned: success
  type: list
  elements: str
emptied:
  description: Those of them that hold records, whose blobs are moved aside in the store itself.
  returned: success
  type: list
  elements: str
providers:
  description: The providers of all blob stores of the instance whose set it is, copied or not.
  returned: success
  type: list
  elements: str
trees:
  description: The folders of files of the set, and where each goes.
  returned: success
  type: list
  elements: dict
files_of:
  description: The node of the set whose files the leader gets.
  returned: success
  type: str
files_held_by:
  description:
    - Another node of the target that gets them too. Where its data folder is its own, it alone takes what was in it.
  returned: success
  type: str
left_out:
  description: Which files of the set come back to nobody, of nodes that are none of the target, for people.
  returned: success
  type: list
  elements: str
folder:
  description: Owner, group and mode of a data folder that is made, for O(nuxeo.platform.restore_marker#module:folder).
  returned: success
  type: dict
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
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.plan import Wish, plan
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.options import RSH
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error, fail_json_on_problems


def main() -> None:
    """Ansible calls this."""
    module = AnsibleModule(
        argument_spec={
            "instance": {"type": "str", "required": True},
            "manifest": {"type": "dict", "required": True},
            "nodes": {"type": "dict", "required": True},
            "leader": {"type": "str", "required": True},
            "target": {"type": "dict", "required": True},
            "path": {"type": "path", "required": True},
            "pools": {"type": "dict", "required": True},
            "rsh": {"type": "list", "elements": "str", "default": list(RSH)},
            "blind": {"type": "list", "elements": "str", "default": []},
            "database": {"type": "dict", "default": {}},
            "audit": {"type": "dict", "default": {}},
            "blob_stores": {"type": "list", "elements": "dict", "default": []},
            "overwrite": {"type": "bool", "default": False},
            "drop_index": {"type": "list", "elements": "str", "default": []},
            "streams": {"type": "bool", "default": False},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "problems": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    wish = dict(module.params)
    others = wish.pop("problems")
    with fail_json_on_error(module):
        found = plan(Wish(**wish))
    problems = list(dict.fromkeys(found.pop("problems") + others))  # a host that does not answer: each has met it
    fail_json_on_problems(module, f"Restore to instance '{wish['instance']}'", problems)
    module.exit_json(changed=False, problems=problems, **found)


if __name__ == "__main__":
    main()
