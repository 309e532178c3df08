#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_set_info
short_description: List the complete backup sets of an instance
description:
  - Lists the sets that can be restored from, newest backup date first. What is in progress or was left by a killed run
    is never among them.
  - Whatever else lies in the folder of the sets is told in RV(unreadable), with the reason.
version_added: 1.0.0
author: Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.backup_root
  - nuxeo.platform.attributes.read_only
options:
  set:
    description:
      - A set, by its id, or V(latest) for the one with the newest backup date. Its manifest is returned.
      - It is an error if that set is not there or is not complete. So it is of V(latest) when the newest one is
        damaged; an older one has to be named.
    type: str
  limit:
    description: How many sets RV(sets) holds at most.
    type: int
    default: 100
seealso:
  - module: nuxeo.platform.backup_set
  - module: nuxeo.platform.backup_set_verify
"""

EXAMPLES = r"""
- name: List the sets
  nuxeo.platform.backup_set_info:
    root: /srv/backup
    instance: acme
  register: found

- name: Find the newest set
  nuxeo.platform.backup_set_info:
    root: /srv/backup
    instance: acme
    set: latest
  register: newest
"""

RETURN = r"""
sets:
  description: The newest sets.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The name of the set.
      type: str
      sample: 20261123T020004Z
    path:
      description: Its folder.
      type: str
      sample: /srv/backup/acme/sets/20261123T020004Z
    backup_date:
      description: The moment of the cut.
      type: str
      sample: '2026-11-23T02:00:04.512345Z'
    started:
      description: When the run began.
      type: str
    finished:
      description: When the set was complete.
      type: str
    kind:
      description: V(hot) or V(cold).
      type: str
      sample: hot
    leader:
      description: The node that did the work.
      type: str
    version:
      description: The version of Nuxeo.
      type: str
      sample: '2023.15'
    database:
      description: The kind of the database.
      type: str
      sample: postgresql
    files:
      description: How many files the set has.
      type: int
    bytes:
      description: Their size, without the blobs in the pool.
      type: int
    blobs:
      description: How many blobs the set refers to.
      type: int
    uncovered:
      description: Stores that are not in the set.
      type: list
      elements: str
count:
  description: How many complete sets there are.
  returned: success
  type: int
  sample: 14
latest:
  description: The id of the set with the newest backup date, V(null) when there is none.
  returned: success
  type: str
  sample: 20261123T020004Z
unreadable:
  description: What lies among the sets and is not a complete one, at most 50.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    reason:
      description: Why it is not a set.
      type: str
unreadable_count:
  description: How many there are.
  returned: success
  type: int
  sample: 0
in_progress:
  description: How many partial sets there are.
  returned: success
  type: int
  sample: 0
others:
  description: Other instances that the root has sets of, where it has none of this one; at most 50.
  returned: success
  type: list
  elements: str
  sample: []
lease:
  description: Who is running now, and C(progress), how far its step is. V(null) when nobody is.
  returned: success
  type: dict
last_failure:
  description: The last run that ended without a set, V(null) when there was none.
  returned: success
  type: dict
  sample: {run_id: 5f0c6a1de3b94e07, time: '2026-11-22T02:00:31.000000Z', step: '', error: No space left on device}
id:
  description: The set that O(set) names, V(null) without it.
  returned: success
  type: str
  sample: 20261123T020004Z
path:
  description: Its folder.
  returned: success
  type: str
  sample: /srv/backup/acme/sets/20261123T020004Z
manifest:
  description: Its manifest, as C(docs/manifest.schema.json) describes it.
  returned: success
  type: dict
pools:
  description: Where the blobs of its stores are, by provider. A pool on another host is V(host:/path).
  returned: success
  type: dict
  sample: {default: /srv/backup/acme/blobs/default}
manifest_sha256:
  description: The SHA-256 of its manifest.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nuxeo.platform.plugins.module_utils._argspec import BACKUP_ROOT
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.listing import list_sets
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.place import Place
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **BACKUP_ROOT,
            "set": {"type": "str"},
            "limit": {"type": "int", "default": 100},
        },
        supports_check_mode=True,
    )
    options = module.params
    with fail_json_on_error(module):
        result = list_sets(Place(options["root"], options["instance"]), options["set"], max(0, options["limit"]))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
