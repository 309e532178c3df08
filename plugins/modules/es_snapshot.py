#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: es_snapshot
short_description: Make a snapshot of indices of Elasticsearch or OpenSearch
version_added: 1.0.0
description:
  - Makes one snapshot of the indices named, waits for its end and passes only when it is V(SUCCESS), no shard failed
    and it holds exactly these indices.
  - An answer that is lost, late or refused for a while never leads to a second snapshot. The name is looked for, and
    asked for again under the same name.
  - Returns what a backup set has to keep about the snapshot.
author:
  - Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.search
  - nuxeo.platform.attributes
  - nuxeo.platform.nuxeo_conf
  - nuxeo.platform.nuxeo_properties
  - nuxeo.platform.progress
attributes:
  check_mode:
    support: full
    details: Looks at everything that can be looked at, and fails with all problems at once. A repository that is not
      registered yet is a warning.
  diff_mode:
    support: full
  idempotent:
    support: full
    details: A snapshot of that name that is there, whole and of these indices, is left as it is. One that runs is
      waited for.
options:
  repository:
    description: Name of the repository, see M(nuxeo.platform.es_repository).
    type: str
    required: true
  name:
    description: Name of the snapshot, in lower case. It must be unique in the repository.
    type: str
    required: true
  state:
    description: Whether the snapshot is there. With V(absent) one that runs is aborted.
    type: str
    choices: [present, absent]
    default: present
  indices:
    description:
      - Indices, or aliases whose indices are taken. No wildcards, since one that matches nothing makes an empty
        snapshot.
      - Required with O(state=present).
    type: list
    elements: str
  sequences:
    description:
      - That one of O(indices) which holds the sequences of Nuxeo (C(uidgen)). Their values are read before the
        snapshot and returned in RV(record), so that a restore can be held against them. Of more than 10,000 these are
        10,000; the snapshot holds all.
    type: str
  metadata:
    description: What is stored with the snapshot. Elasticsearch keeps it from 7.3 on, OpenSearch always.
    type: dict
    default: {}
  record_path:
    description: A file on the node that RV(record) is written to as JSON. It is written when the snapshot is whole.
    type: path
  wait:
    description:
      - Whether to wait for the snapshot's end. Without, only that it was started is certain. Run again with the same
        name to wait for it.
    type: bool
    default: true
  wait_timeout:
    description:
      - Seconds after which the module gives up, with the state that the snapshot has then. The snapshot goes on.
      - Elasticsearch before 7.9 makes one snapshot at a time. Waiting for another's end counts, too.
    type: float
    default: 3600.0
seealso:
  - module: nuxeo.platform.es_repository
  - module: nuxeo.platform.es_snapshot_info
  - module: nuxeo.platform.es_snapshot_restore
"""

EXAMPLES = r"""
- name: Save the audit and the sequences
  nuxeo.platform.es_snapshot:
    repository: nuxeo-acme
    name: 20261123t020004z-5f3a9c
    indices:
      - nuxeo-audit
      - nuxeo-uidgen
    sequences: nuxeo-uidgen
    nuxeo_conf: /etc/nuxeo/nuxeo.conf
  register: audit

- name: Only start one, which says what it is for
  nuxeo.platform.es_snapshot:
    repository: nuxeo-acme
    name: before-upgrade
    indices: [nuxeo-audit]
    metadata:
      ticket: OPS-4711
    wait: false
    nuxeo_conf: /etc/nuxeo/nuxeo.conf

- name: Remove a snapshot that no backup set names any more
  nuxeo.platform.es_snapshot:
    repository: nuxeo-acme
    name: 20261001t020004z-91b0d2
    state: absent
    nuxeo_conf: /etc/nuxeo/nuxeo.conf
"""

RETURN = r"""
snapshot:
  description: The snapshot, see RV(nuxeo.platform.es_snapshot_info#module:snapshots). Empty when it is absent, and in
    check mode where it is still to be made.
  returned: success
  type: dict
requested:
  description: For each of O(indices) the indices behind it.
  returned: success
  type: dict
  sample:
    nuxeo-audit: [nuxeo-audit-0001]
record:
  description:
    - What a restore needs to know. Keep it as it is, and give it to M(nuxeo.platform.es_snapshot_restore).
    - Empty when the snapshot is absent, runs still, and in check mode.
  returned: success
  type: dict
  contains:
    format:
      description: Version of this structure.
      type: int
    engine:
      description: Distribution and version of the engine.
      type: dict
    cluster:
      description: Name and uuid of the cluster.
      type: dict
    repository:
      description: Name, type and settings of the repository, without secrets.
      type: dict
    snapshot:
      description: As RV(snapshot).
      type: dict
    requested:
      description: As RV(requested).
      type: dict
    indices:
      description: Of each index its name, settings, mappings, aliases, the version it was created by, and its
        documents. C(documents) is their exact number or null, C(documents_at_least) and C(documents_at_most) are the
        bounds while others write.
      type: list
      elements: dict
    sequences:
      description: Name of the index with the sequences, and their values before the snapshot.
      type: dict
bytes:
  description: Size of the snapshot.
  returned: success
  type: int
bytes_added:
  description: What it added to the repository. The same as RV(bytes) where the engine does not say (Elasticsearch
    before 6.4).
  returned: success
  type: int
duration:
  description: Seconds that the module took.
  returned: success
  type: float
problems:
  description: All that stands in the way.
  returned: when the check before the snapshot found something
  type: list
  elements: str
"""

from ..module_utils._argspec import PROGRESS
from ..module_utils._conf.option import EnvironmentModule
from ..module_utils._errors import fail_json_on_error
from ..module_utils._search import operations
from ..module_utils._search.options import RULES, SEARCH, client_for


def main() -> None:
    module = EnvironmentModule(
        argument_spec={
            "repository": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "indices": {"type": "list", "elements": "str"},
            "sequences": {"type": "str"},
            "metadata": {"type": "dict", "default": {}},
            "record_path": {"type": "path"},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "float", "default": 3600.0},
            **PROGRESS,
            **SEARCH,
        },
        supports_check_mode=True,
        required_if=[("state", "present", ["indices"])],
        **RULES,
    )
    with fail_json_on_error(module):
        client = client_for(module.params)
        if module.params["state"] == "absent":
            result = operations.remove_snapshot(client, module.params, module.check_mode)
        else:
            result = operations.make_snapshot(client, module.params, module.check_mode)
        for warning in result.pop("told"):
            module.warn(warning)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
