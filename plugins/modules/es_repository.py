#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: es_repository
short_description: Register a snapshot repository of Elasticsearch or OpenSearch
version_added: 1.0.0
description:
  - Registers a repository, has every node of the cluster verify it, and takes the registration back when one cannot
    use it.
  - Removing a repository forgets its registration only. The snapshots stay in the store.
author:
  - Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.search
  - nuxeo.platform.attributes
  - nuxeo.platform.nuxeo_conf
  - nuxeo.platform.nuxeo_properties
attributes:
  check_mode:
    support: full
    details: Does not verify, since verifying writes into the store. Settings of C(path.repo) are checked.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: Name of the repository.
    type: str
    required: true
  state:
    description: Whether the repository is registered.
    type: str
    choices: [present, absent]
    default: present
  type:
    description:
      - Type of the repository, for example V(fs), V(s3), V(azure) or V(gcs). All but V(fs) and V(url) need a plugin or
        module on every node.
    type: str
    default: fs
  settings:
    description:
      - Settings of the repository, passed on as they are. For V(fs) this is C(location).
      - Keys of a cloud's store belong into the keystore of the nodes, not here. Where they are given, they are hidden
        in all that is returned, and no argument gets into the system's log.
    type: dict
    default: {}
  readonly:
    description:
      - Whether snapshots can only be read from it.
      - Two clusters must never write to one repository. Register it with V(true) in the cluster that only restores.
    type: bool
    default: false
  verify:
    description: Whether every node has to prove that it can use the repository, also when nothing has changed.
    type: bool
    default: true
seealso:
  - module: nuxeo.platform.es_snapshot
  - module: nuxeo.platform.es_snapshot_restore
"""

EXAMPLES = r"""
- name: Register the repository of an instance, kept in the backup root
  nuxeo.platform.es_repository:
    name: nuxeo-acme
    settings:
      location: /backup/acme/search
      compress: true
    nuxeo_conf: /etc/nuxeo/nuxeo.conf

- name: Register one in S3, without having the nodes write to it
  nuxeo.platform.es_repository:
    name: nuxeo-acme-s3
    type: s3
    settings:
      bucket: acme-snapshots
    verify: false
    nuxeo_conf: /etc/nuxeo/nuxeo.conf

- name: Register it in another cluster, to restore from it
  nuxeo.platform.es_repository:
    name: nuxeo-acme-restore
    settings:
      location: /backup/acme/search
    readonly: true
    url:
      - https://search1:9200
      - https://search2:9200
    url_username: restore
    url_password: "{{ vault_search_password }}"
    ca_cert: /etc/pki/search-ca.pem
"""

RETURN = r"""
repository:
  description: Type and settings as they are after the module, or would be. Empty when it is absent.
  returned: success
  type: dict
  sample:
    type: fs
    settings:
      location: /backup/acme/search
      compress: "true"
nodes:
  description: The nodes that have verified the repository. Empty without O(verify) and in check mode.
  returned: success
  type: list
  elements: str
  sample: [search1, search2]
problems:
  description: What stands in the way, one item for each node.
  returned: when a node's C(path.repo) does not allow the location
  type: list
  elements: str
"""

from ..module_utils._conf.option import EnvironmentModule
from ..module_utils._errors import fail_json_on_error
from ..module_utils._search import repository
from ..module_utils._search.options import RULES, SEARCH, client_for


def main() -> None:
    module = EnvironmentModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "type": {"type": "str", "default": "fs"},
            "settings": {"type": "dict", "default": {}},
            "readonly": {"type": "bool", "default": False},
            "verify": {"type": "bool", "default": True},
            **SEARCH,
        },
        supports_check_mode=True,
        **{**RULES, "secrets": lambda params: repository.secrets_in(params.get("settings")) | RULES["secrets"](params)},
    )
    params = module.params
    with fail_json_on_error(module):
        client = client_for(params)
        if params["state"] == "absent":
            change = repository.remove(client, params["name"], check_mode=module.check_mode)
        else:
            settings = {**params["settings"], **({"readonly": True} if params["readonly"] else {})}
            wanted = {"type": params["type"], "settings": settings}
            change = repository.ensure(
                client, params["name"], wanted, check_mode=module.check_mode, verified=params["verify"]
            )
        before, after = repository.public(change.before) or {}, repository.public(change.after) or {}
        module.exit_json(
            changed=change.changed, repository=after, nodes=change.nodes, diff={"before": before, "after": after}
        )


if __name__ == "__main__":
    main()
