#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: es_snapshot_restore
short_description: Restore indices of Elasticsearch or OpenSearch from a snapshot
version_added: 1.0.0
description:
  - Restores indices beside the names that they are to have, waits until every shard is there, compares the documents
    with those that the backup counted, and only then gives them their names, all at once. Nobody ever sees a part.
  - An index cannot be renamed. So it stays under the name it was restored to, C(<name>-r<digest>), and the name asked
    for becomes an alias for it. Nuxeo and M(nuxeo.platform.es_snapshot) take an alias as they take an index.
  - The same snapshot restored again changes nothing as long as the indices hold what they held then.
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
    details: Looks at everything that can be looked at, and fails with all problems at once.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  repository:
    description: Name of the repository. In a cluster other than the one that writes it, it must be registered readonly.
    type: str
    required: true
  name:
    description: Name of the snapshot.
    type: str
    required: true
  indices:
    description:
      - What to restore. Indices as the snapshot names them, or, with O(record), the names that the backup asked for,
        such as an alias.
      - Without it, everything that the record names as requested.
    type: list
    elements: str
  rename:
    description: New names for some of O(indices). The others keep theirs.
    type: dict
    default: {}
  aliases:
    description: For some of O(indices) a list of further names.
    type: dict
    default: {}
  record:
    description:
      - What M(nuxeo.platform.es_snapshot) returned as RV(nuxeo.platform.es_snapshot#module:record). The restored
        indices are held against it.
      - Without it and without O(record_path), nothing proves that the indices came back whole beyond the engine's own
        word.
      - An alias of a recorded index that begins with the name asked for and a dash, such as C(acme-audit-write), comes
        along under the new name. Aliases have the filter, the routing and the write index that they had.
    type: dict
  record_path:
    description: A file on the node that holds O(record) as JSON, written by M(nuxeo.platform.es_snapshot).
    type: path
  trim:
    description: Removes entries that are newer than the backup date, before anybody sees the index.
    type: dict
    suboptions:
      indices:
        description: Those of O(indices) to trim.
        type: list
        elements: str
        required: true
      newer_than:
        description: The backup date, ISO 8601 with a zone. Compared to the millisecond.
        type: str
        required: true
      field:
        description: The field with the time of an entry.
        type: str
        default: eventDate
  overwrite:
    description:
      - Whether names that exist may be taken over. An index of that name is deleted in the moment the restored one
        takes its place. The indices behind an alias of that name stay, see RV(kept_aside).
      - Then what an earlier restore of the same snapshot has brought back is left in place only when the record has its
        exact number of documents, and nothing is trimmed. Else it is replaced, since more may have been written.
    type: bool
    default: false
  index_settings:
    description: Settings that the restored indices get, for example C(index.number_of_replicas).
    type: dict
    default: {}
  ignore_index_settings:
    description:
      - Settings of the snapshot that the restored indices do not get. They never get C(index.blocks.*), with which they
        could not be trimmed and named, nor written to afterwards.
      - Nor do they get a policy (C(index.lifecycle.*), of OpenSearch C(index.plugins.index_state_management.*)), which
        goes by the age of the index that was saved, and could delete them at once. In another cluster than that which
        made the snapshot they do not get C(index.routing.allocation.*) either, which names nodes of that.
      - The record of the backup tells which there were.
    type: list
    elements: str
    default: []
  wait_timeout:
    description: Seconds after which the module gives up. What was restored so far is removed, nothing else has changed.
    type: float
    default: 3600.0
seealso:
  - module: nuxeo.platform.es_repository
  - module: nuxeo.platform.es_snapshot
"""

EXAMPLES = r"""
- name: Bring audit and sequences of the instance acme back as those of nuxeo
  nuxeo.platform.es_snapshot_restore:
    repository: nuxeo-acme-restore
    name: 20261123t020004z-5f3a9c
    record: "{{ restore_audit_record }}"
    rename:
      acme-audit: nuxeo-audit
      acme-uidgen: nuxeo-uidgen
    aliases:
      acme-audit: [audit-for-reports]
    index_settings:
      index.number_of_replicas: 0
    ignore_index_settings: [index.refresh_interval]
    trim:
      indices:
        - acme-audit
      newer_than: "2026-11-23T02:00:04.512000Z"
    nuxeo_conf: /etc/nuxeo/nuxeo.conf
"""

RETURN = r"""
indices:
  description: What was restored, sorted by name.
  returned: success
  type: list
  elements: dict
  contains:
    source:
      description: Name of the index in the snapshot.
      type: str
    names:
      description: The names under which it is found now.
      type: list
      elements: str
    index:
      description: The index behind these names.
      type: str
    documents:
      description: How many documents it holds. 0 in check mode.
      type: int
    trimmed:
      description: How many were removed because they are newer than the backup date.
      type: int
removed:
  description: Indices that were deleted because a restored one took their name, and what a killed run had left.
  returned: success
  type: list
  elements: str
kept_aside:
  description:
    - Indices that lost their alias to a restored one, and are still there.
    - Each has got an alias that says so, its name followed by C(-aside). Without any it would be taken for what a
      killed run has left.
  returned: success
  type: list
  elements: str
cluster:
  description: The uuid of the cluster.
  returned: success
  type: str
duration:
  description: Seconds that the module took.
  returned: success
  type: float
problems:
  description: All that stands in the way.
  returned: when the check before the restore found something
  type: list
  elements: str
"""

from ..module_utils._argspec import PROGRESS
from ..module_utils._conf.option import EnvironmentModule
from ..module_utils._errors import fail_json_on_error
from ..module_utils._search import operations
from ..module_utils._search.options import RULES, SEARCH, client_for

TRIM = {
    "indices": {"type": "list", "elements": "str", "required": True},
    "newer_than": {"type": "str", "required": True},
    "field": {"type": "str", "default": "eventDate"},
}


def main() -> None:
    module = EnvironmentModule(
        argument_spec={
            "repository": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "indices": {"type": "list", "elements": "str"},
            "rename": {"type": "dict", "default": {}},
            "aliases": {"type": "dict", "default": {}},
            "record": {"type": "dict"},
            "record_path": {"type": "path"},
            "trim": {"type": "dict", "options": TRIM},
            "overwrite": {"type": "bool", "default": False},
            "index_settings": {"type": "dict", "default": {}},
            "ignore_index_settings": {"type": "list", "elements": "str", "default": []},
            "wait_timeout": {"type": "float", "default": 3600.0},
            **PROGRESS,
            **SEARCH,
        },
        supports_check_mode=True,
        mutually_exclusive=[*RULES["mutually_exclusive"], ("record", "record_path")],
        required_by=RULES["required_by"],
        secrets=RULES["secrets"],
        required_one_of=[*RULES["required_one_of"], ("indices", "record", "record_path")],
    )
    with fail_json_on_error(module):
        module.exit_json(**operations.restore(client_for(module.params), module.params, module.check_mode))


if __name__ == "__main__":
    main()
