#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: es_snapshot_info
short_description: List the snapshots of an Elasticsearch or OpenSearch repository
version_added: 1.0.0
description:
  - Lists the snapshots of a repository, oldest first, and says which engine answers.
  - An engine whose repository has lost its catalogue answers with an empty list. Where names are expected, give them as
    O(names), so that a missing one is an error. The folder of an V(fs) repository that this host can read is looked
    at, too.
author:
  - Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.search
  - nuxeo.platform.attributes
  - nuxeo.platform.attributes.read_only
  - nuxeo.platform.nuxeo_conf
  - nuxeo.platform.nuxeo_properties
options:
  repository:
    description: Name of the repository.
    type: str
    required: true
  names:
    description: Snapshots that must be there. The others are not listed.
    type: list
    elements: str
  limit:
    description: The most snapshots to list. The newest are kept.
    type: int
    default: 500
seealso:
  - module: nuxeo.platform.es_snapshot
"""

EXAMPLES = r"""
- name: List the newest snapshots of an instance
  nuxeo.platform.es_snapshot_info:
    repository: nuxeo-acme
    limit: 10
    nuxeo_conf: /etc/nuxeo/nuxeo.conf

- name: Fail unless the snapshot of a set is there
  nuxeo.platform.es_snapshot_info:
    repository: nuxeo-acme
    names:
      - 20261123t020004z-5f3a9c
    url:
      - http://search1:9200
"""

RETURN = r"""
snapshots:
  description: The snapshots, oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the snapshot.
      type: str
    uuid:
      description: Its identity.
      type: str
    state:
      description: V(SUCCESS), V(PARTIAL), V(FAILED), V(IN_PROGRESS) or V(INCOMPATIBLE).
      type: str
    indices:
      description: The indices in it, sorted.
      type: list
      elements: str
    started:
      description: When it was started.
      type: str
      sample: "2026-11-23T02:00:07.112Z"
    ended:
      description: When it ended. Empty while it runs.
      type: str
    duration:
      description: Seconds that it took.
      type: float
    shards:
      description: How many shards there are, and how many of them succeeded and failed.
      type: dict
    failures:
      description: The first failures, 20 at most.
      type: list
      elements: str
    version:
      description: Version of the engine that made it.
      type: str
    version_id:
      description: The same as the engine's number.
      type: int
    metadata:
      description: What was stored with it.
      type: dict
total:
  description: How many snapshots the repository holds.
  returned: success
  type: int
repository:
  description: Type and settings of the repository.
  returned: success
  type: dict
engine:
  description: The engine that answers.
  returned: success
  type: dict
  contains:
    distribution:
      description: V(elasticsearch) or V(opensearch).
      type: str
    version:
      description: Its version.
      type: str
cluster:
  description: The cluster that answers.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
    uuid:
      description: Its identity.
      type: str
"""

from ..module_utils._conf.option import EnvironmentModule
from ..module_utils._errors import fail_json_on_error
from ..module_utils._search import repository, snapshot
from ..module_utils._search.engine import read_engine
from ..module_utils._search.options import RULES, SEARCH, client_for


def main() -> None:
    module = EnvironmentModule(
        argument_spec={
            "repository": {"type": "str", "required": True},
            "names": {"type": "list", "elements": "str"},
            "limit": {"type": "int", "default": 500},
            **SEARCH,
        },
        supports_check_mode=True,
        **RULES,
    )
    with fail_json_on_error(module):
        params = module.params
        client = client_for(params)
        engine = read_engine(client)
        found = snapshot.listing(client, params["repository"])
        chosen = snapshot.select(client, params["repository"], found, params["names"])
        answer = {
            "snapshots": chosen[max(0, len(chosen) - max(0, params["limit"])) :],
            "total": len(found),
            "repository": repository.public(repository.must(client, params["repository"])),
            "engine": {"distribution": engine.distribution, "version": engine.version},
            "cluster": {"name": engine.cluster_name, "uuid": engine.cluster_uuid},
        }
        module.exit_json(changed=False, **module.whole(f"List of the snapshots in '{params['repository']}'", answer))


if __name__ == "__main__":
    main()
