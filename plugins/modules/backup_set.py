#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_set
short_description: Begin, publish or abandon a backup set
description:
  - Begins a run by taking the lease of the instance and making a folder in progress, the partial set.
  - Publishes it, which makes it a backup by one rename after everything in it is hashed and durable. Before that it is
    never listed and never restored from.
  - Or abandons it, which leaves nothing but a word about the failure.
  - A run that was killed needs no hand. The next one takes its place at once when both are started on the same host, or
    when there was no sign of life for O(lease_timeout). What the killed run wrote is removed, and what still writes for
    it stops.
  - Used by the role P(nuxeo.platform.backup#role).
version_added: 1.0.0
author: Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.backup_root
  - nuxeo.platform.lease
  - nuxeo.platform.progress
attributes:
  check_mode:
    support: full
    details: What the place and the lease are like is checked and told, so what fails later would fail here.
  diff_mode:
    support: none
    details: A diff would not be of use. The result names the folder.
  idempotent:
    support: partial
    details: O(state=begun) always begins a new run. The other states change nothing the second time.
options:
  state:
    description: What to do with the run.
    type: str
    required: true
    choices:
      begun: Take the lease and make the partial set.
      joined: Look on another node of the instance whether a restore is on there, for a run that has begun.
      published: Complete the manifest, write C(SHA256SUMS), make all durable, rename, give the lease back.
      abandoned: Remove the partial set and the lease, if they are still this run's.
  run_id:
    description: The run, as RV(run_id) of O(state=begun) told it. Required for the other states.
    type: str
  manifest:
    description:
      - What the manifest is to hold. Required for O(state=published). The keys V(backup_date), V(kind), V(leader),
        V(nodes) and V(nuxeo) must be there, others may.
      - The module adds what it knows, and V(database) and V(blobs) from the JSON files that the stores have left in the
        folders of those names.
    type: dict
  forbidden:
    description:
      - Folders that are backed up. A backup root inside one of them is refused, and one of them inside the folder of
        the instance too, whatever links and mounts are between.
      - A restore into one of them that is on is an error.
    type: list
    elements: path
    default: []
  nuxeo_conf:
    description:
      - C(nuxeo.conf) of the node, for O(state=begun) and O(state=joined). While a restore has begun onto it and has not
        ended, whichever node leads that, no backup begins.
    type: path
  required_bytes:
    description: How many bytes must be free in the backup root.
    type: int
    default: 0
  require_mount:
    description: Refuse a backup root that lies in the root file system, since what should be mounted there is not.
    type: bool
    default: false
  reason:
    description: Why the run is abandoned, kept for M(nuxeo.platform.backup_set_info).
    type: str
    default: ''
  step:
    description: What the run was doing when it failed, kept likewise.
    type: str
    default: ''
notes:
  - The times of lease and sign of life are compared by the clock of the file system that holds the backup root.
  - The file system must know locks (C(flock)), as local ones and NFS do.
seealso:
  - module: nuxeo.platform.backup_set_info
  - module: nuxeo.platform.backup_set_verify
"""

EXAMPLES = r"""
- name: Begin a backup
  nuxeo.platform.backup_set:
    state: begun
    root: /srv/backup
    instance: acme
    forbidden:
      - /var/lib/nuxeo/data
    required_bytes: 10737418240
    require_mount: true
  register: begun

- name: Publish it
  nuxeo.platform.backup_set:
    state: published
    root: /srv/backup
    instance: acme
    run_id: "{{ begun.run_id }}"
    manifest:
      backup_date: "{{ dump.backup_date }}"
      kind: hot
      leader: "{{ inventory_hostname }}"
      nodes: "{{ {inventory_hostname: true} }}"
      nuxeo: "{{ ansible_facts.nuxeo }}"

- name: End a backup that failed
  nuxeo.platform.backup_set:
    state: abandoned
    root: /srv/backup
    instance: acme
    run_id: "{{ begun.run_id }}"
    step: dump
    reason: "{{ ansible_failed_result.msg }}"
"""

RETURN = r"""
run_id:
  description: The run. In check mode one that is not begun.
  returned: success
  type: str
  sample: 5f0c6a1de3b94e07
partial:
  description: The folder to write to.
  returned: O(state=begun)
  type: str
  sample: /srv/backup/acme/sets/.partial-5f0c6a1de3b94e07
progress:
  description: A file for the option C(progress) of every long step. Others beside it may be named C(progress*.json).
  returned: O(state=begun)
  type: str
  sample: /srv/backup/acme/sets/.partial-5f0c6a1de3b94e07/progress.json
who:
  description: The run in words, for messages.
  returned: O(state=begun)
  type: str
  sample: run 5f0c6a1de3b94e07 of user 'ops' on 'controller1' (process 4711) at 2026-11-23T02:00:04.512345Z
lease:
  description: The lease as written.
  returned: O(state=begun)
  type: dict
took_over:
  description: The lease of the run whose place was taken, V(null) when the place was free.
  returned: O(state=begun)
  type: dict
leftovers:
  description: How many folders of earlier runs were removed.
  returned: O(state=begun)
  type: int
  sample: 0
free_bytes:
  description: What is free in the backup root.
  returned: O(state=begun)
  type: int
  sample: 107374182400
id:
  description: The name of the set.
  returned: O(state=published)
  type: str
  sample: 20261123T020004Z
path:
  description: The folder of the set.
  returned: O(state=published)
  type: str
  sample: /srv/backup/acme/sets/20261123T020004Z
backup_date:
  description: The moment of the cut.
  returned: O(state=published)
  type: str
  sample: '2026-11-23T02:00:04.512345Z'
files:
  description: How many files the set has, the manifest not counted.
  returned: O(state=published)
  type: int
  sample: 812
bytes:
  description: Their size. Blobs in the pool are not counted.
  returned: O(state=published)
  type: int
  sample: 73400320
blobs:
  description: How many blobs the set refers to.
  returned: O(state=published)
  type: int
  sample: 1204113
holder:
  description: The lease of the run that holds the place.
  returned: when the place is taken
  type: dict
duration:
  description: Seconds.
  returned: success
  type: float
  sample: 0.8
"""

import os
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nuxeo.platform.plugins.module_utils._argspec import BACKUP_ROOT, LEASE, PROGRESS
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.begin import abandon, begin_here, join
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.listing import count_blobs, doubts
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.place import Place
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.publish import publish
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error


def begun(module: AnsibleModule, place: Place) -> dict[str, t.Any]:
    """Take the lease."""
    return {"changed": True, **begin_here(place, module.params, module.check_mode)}


def joined(module: AnsibleModule, place: Place) -> dict[str, t.Any]:
    """Nothing is in the way of the run on this node either."""
    join(place, module.params)
    return {"changed": False, "run_id": module.params["run_id"]}


def published(module: AnsibleModule, place: Place) -> dict[str, t.Any]:
    """Make it a set."""
    options = module.params
    beat = options["progress"] or os.path.join(place.partial(options["run_id"]), "progress.json")
    done = publish(place, options["run_id"], options["manifest"], beat, module.check_mode)
    manifest = done["manifest"]
    for doubt in () if module.check_mode else doubts(place, manifest):
        module.warn(doubt)
    return {
        "changed": done["changed"],
        "path": done["path"],
        "run_id": options["run_id"],
        "blobs": count_blobs(manifest),
        **{key: manifest[key] for key in ("id", "backup_date", "files", "bytes")},
    }


def abandoned(module: AnsibleModule, place: Place) -> dict[str, t.Any]:
    """End without a set."""
    options = module.params
    changed = abandon(place, options["run_id"], options["step"], options["reason"], module.check_mode)
    return {"changed": changed, "run_id": options["run_id"]}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **BACKUP_ROOT,
            "state": {"type": "str", "required": True, "choices": ["begun", "joined", "published", "abandoned"]},
            "run_id": {"type": "str"},
            "manifest": {"type": "dict"},
            "forbidden": {"type": "list", "elements": "path", "default": []},
            "nuxeo_conf": {"type": "path"},
            "required_bytes": {"type": "int", "default": 0},
            "require_mount": {"type": "bool", "default": False},
            "reason": {"type": "str", "default": ""},
            "step": {"type": "str", "default": ""},
            **LEASE,
            **PROGRESS,
        },
        required_if=[
            ("state", "joined", ("run_id",)),
            ("state", "published", ("run_id", "manifest")),
            ("state", "abandoned", ("run_id",)),
        ],
        supports_check_mode=True,
    )
    states = {"begun": begun, "joined": joined, "published": published, "abandoned": abandoned}
    began = time.monotonic()
    with fail_json_on_error(module):
        result = states[module.params["state"]](module, Place(module.params["root"], module.params["instance"]))
    module.exit_json(duration=round(time.monotonic() - began, 3), **result)


if __name__ == "__main__":
    main()
