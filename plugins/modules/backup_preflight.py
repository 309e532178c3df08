#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_preflight
short_description: Tell at once all that stands in the way of a backup
description:
  - Compares the facts of the nodes of an instance, looks at the folders on the node on which it runs, and names every
    store that a backup would not hold.
  - Fails with all problems in one message. Without a problem it returns what the backup will do.
  - Used by the role P(nuxeo.platform.backup#role).
version_added: 1.0.0
author: Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.attributes.read_only
options:
  instance:
    description: The instance's name, for messages.
    type: str
    required: true
  nodes:
    description:
      - The nodes of the instance by their inventory name.
      - Each has V(facts) (RV(nuxeo.platform.nuxeo_conf_facts#module:ansible_facts.nuxeo)), or V(error), the reason why
        they could not be read, or nothing at all when the node cannot be reached.
      - Beside V(facts), those that do not lead have V(trees) and V(problems) as M(nuxeo.platform.backup_node_info)
        told them there.
    type: dict
    required: true
  leader:
    description: The name of the node on which this runs.
    type: str
    required: true
  accept_uncovered:
    description:
      - Ids of stores which the operator saves by other means.
      - C(blobs:) and a provider's id also where no nuxeo.conf names it.
    type: list
    elements: str
    default: []
  blob_stores:
    description:
      - Blob stores that nuxeo.conf does not name, since they come from XML contributions.
      - One whose provider nuxeo.conf names too is taken as it is here.
    type: list
    elements: dict
    default: []
    suboptions:
      provider:
        description: The id of the blob provider.
        type: str
        required: true
      path:
        description: The folder of the store.
        type: path
        required: true
      kind:
        description: How a blob's name and its content belong together.
        type: str
        choices: [file, encrypted, record]
        default: file
      digest:
        description: The algorithm that names the blobs. Default is what C(config.xml) of the store says.
        type: str
      depth:
        description: How many levels of folders. Default is what C(config.xml) of the store says, V(0) for V(record).
        type: int
  exclude:
    description: Further parts of the data folder that are not to be saved, as globs relative to it.
    type: list
    elements: str
    default: []
  ping:
    description: What M(community.postgresql.postgresql_ping) returned for the database.
    type: dict
    default: {}
  server:
    description: What M(community.postgresql.postgresql_info) returned for its server.
    type: dict
    default: {}
  problems:
    description: Problems that other checks have found, told together with those found here.
    type: list
    elements: str
    default: []
seealso:
  - module: nuxeo.platform.nuxeo_conf_facts
"""

EXAMPLES = r"""
- name: Check that the instance can be backed up
  nuxeo.platform.backup_preflight:
    instance: acme
    leader: "{{ inventory_hostname }}"
    nodes: "{{ {inventory_hostname: {'facts': ansible_facts.nuxeo}} }}"
    accept_uncovered:
      - redis
"""

RETURN = r"""
cold:
  description: Whether the server has to be stopped while its files are copied.
  returned: success
  type: bool
  sample: false
h2:
  description: Where in the data folder the embedded database is, without its suffix; empty where there is none.
  returned: success
  type: str
  sample: h2/nuxeo
stores:
  description: The blob stores to copy, as M(nuxeo.platform.blob_rsync) takes them.
  returned: success
  type: list
  elements: dict
providers:
  description: The providers of all blob stores of the instance, copied or saved by other means.
  returned: success
  type: list
  elements: str
trees:
  description: The folders to copy, with the parts that are left out.
  returned: success
  type: list
  elements: dict
uncovered:
  description: Stores that the set will not hold, accepted by the operator.
  returned: success
  type: list
  elements: str
  sample: [redis]
shares:
  description: Where data folder and blob stores are on volumes that servers share, by what is mounted.
  returned: success
  type: list
  elements: str
  sample: ["nas1:/export/nuxeo/binaries"]
streams:
  description: Whether topics and positions of Kafka will be in the set.
  returned: success
  type: bool
  sample: false
embedded:
  description: Whether the search engine inside of Nuxeo has to be opened for a snapshot, by a restart.
  returned: success
  type: bool
  sample: false
problems:
  description: Every problem found.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import preflight
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_problems

STORE = {
    "provider": {"type": "str", "required": True},
    "path": {"type": "path", "required": True},
    "kind": {"type": "str", "choices": ["file", "encrypted", "record"], "default": "file"},
    "digest": {"type": "str"},
    "depth": {"type": "int"},
}


def main() -> None:
    """Ansible calls this."""
    module = AnsibleModule(
        argument_spec={
            "instance": {"type": "str", "required": True},
            "nodes": {"type": "dict", "required": True},
            "leader": {"type": "str", "required": True},
            "accept_uncovered": {"type": "list", "elements": "str", "default": []},
            "blob_stores": {"type": "list", "elements": "dict", "default": [], "options": STORE},
            "exclude": {"type": "list", "elements": "str", "default": []},
            "ping": {"type": "dict", "default": {}},
            "server": {"type": "dict", "default": {}},
            "problems": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    p = module.params
    found = preflight.plan(p["nodes"], p["leader"], p["accept_uncovered"], p["blob_stores"], p["exclude"])
    facts = p["nodes"].get(p["leader"], {}).get("facts")
    problems = found["problems"] + preflight.server_problems(facts, p["ping"], p["server"]) + p["problems"]
    fail_json_on_problems(module, f"Preflight of instance '{p['instance']}'", problems)
    for warning in found.pop("warnings"):
        module.warn(warning)
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
