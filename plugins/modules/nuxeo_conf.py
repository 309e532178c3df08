#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nuxeo_conf
short_description: Set or remove properties in nuxeo.conf
version_added: 1.0.0
description:
  - Sets or removes properties in C(nuxeo.conf). Comments, order, continuation lines, escapes and line ends of all else
    stay as they are, to the byte.
  - Up to 2021 Nuxeo guesses the encoding of the file, 10.10 by parts of 512 bytes. Where a change would let it guess
    another one, and so read other values differently, a comment is put before the change that prevents this.
  - A value is written so that every version of Nuxeo reads exactly that value back.
  - A property that the file already sets is changed where it stands, its last line when there are several. A new one
    goes before the block that Nuxeo's launcher keeps for itself.
  - Owner and mode of the file stay. It is replaced as a whole or not at all.
  - Where several nodes share the file, the first one changes it and the others find it changed.
author:
  - Nuxeo Platform collection contributors (@nuxeo)
options:
  path:
    description:
      - The C(nuxeo.conf) to change.
      - Default as O(nuxeo.platform.nuxeo_conf_facts#module:path).
    type: path
  home:
    description:
      - E(NUXEO_HOME) of the instance.
      - Default as O(nuxeo.platform.nuxeo_conf_facts#module:home).
    type: path
  version:
    description:
      - The version of Nuxeo, which decides in which encoding the file is read.
      - Default as O(nuxeo.platform.nuxeo_conf_facts#module:version). Where it cannot be read, a value outside of ASCII
        that is already there is taken for another and is written again.
    type: str
  properties:
    description:
      - Names and values. References such as V(${nuxeo.data.dir}) and V(${env:NAME}) may stand in a value and are left
        for Nuxeo to expand.
      - With O(state=absent) the values are not looked at.
    type: dict
    default: {}
  secret_properties:
    description:
      - Like O(properties), for those whose values are secrets, such as V(nuxeo.db.password).
    type: dict
    default: {}
  state:
    description:
      - V(present) sets the properties, V(absent) takes every line of them out.
    type: str
    choices: [absent, present]
    default: present
  backup:
    description:
      - Keep a copy of the file as it was, beside it and with its mode, but without a restore guard.
      - A guard that is there names the copy, and there is no further one until it is gone.
    type: bool
    default: false
  restore_guard:
    description:
      - V(armed) puts a block at the head of the file with which no version of Nuxeo starts. V(absent) takes it out.
      - It is there while a restore is under way, so that nobody starts an instance that is half restored.
    type: str
    choices: [absent, armed]
  restore_set:
    description:
      - The id of the backup set that is restored, for the text of the block.
    type: str
  restore_by:
    description:
      - Whose restore it is, as RV(nuxeo.platform.restore_lease#module:who) told it, for the text of the block and for
        the error that a backup ends with.
    type: str
  restore_kept:
    description:
      - The copy that O(backup) has made, for a block that is armed again.
    type: path
extends_documentation_fragment:
  - nuxeo.platform.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Secrets are masked.
  idempotent:
    support: full
seealso:
  - module: nuxeo.platform.nuxeo_conf_facts
"""

EXAMPLES = r"""
- name: Point the instance at another database
  nuxeo.platform.nuxeo_conf:
    path: /etc/nuxeo/nuxeo.conf
    backup: true
    properties:
      nuxeo.db.host: db2.example.com
      nuxeo.db.name: nuxeo_clone
    secret_properties:
      nuxeo.db.password: "{{ vault_nuxeo_db_password }}"

- name: Leave the cluster
  nuxeo.platform.nuxeo_conf:
    path: /etc/nuxeo/nuxeo.conf
    home: /opt/nuxeo/server
    state: absent
    properties:
      nuxeo.cluster.nodeid:

- name: Keep the instance from being started
  nuxeo.platform.nuxeo_conf:
    path: /etc/nuxeo/nuxeo.conf
    restore_guard: armed
    restore_set: 20261123T020004Z
"""

RETURN = r"""
conf:
  description: The file.
  type: str
  returned: success
  sample: /etc/nuxeo/nuxeo.conf
properties_changed:
  description: The names of the properties that were set to another value or removed.
  type: list
  elements: str
  returned: success
  sample: [nuxeo.db.host]
guard_changed:
  description: Whether the restore guard was armed or taken away.
  type: bool
  returned: success
  sample: false
guard_replaced:
  description: Whether the restore guard was armed in the place of one that another restore has left there.
  type: bool
  returned: success
  sample: false
backup_file:
  description:
    - The copy of the file as it was, null when none was made.
    - While a guard is there, the copy that was made first since it was armed, by an earlier run too.
  type: str
  returned: success
  sample: /etc/nuxeo/nuxeo.conf.4711.2026-11-23@02:00:04~
"""

import functools
import typing as t

from ansible_collections.nuxeo.platform.plugins.module_utils._conf.change import change
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.option import EnvironmentModule
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.secrets import in_properties
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.write import alone
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error

SPEC: dict[str, dict[str, t.Any]] = {
    "path": {"type": "path"},
    "home": {"type": "path"},
    "version": {"type": "str"},
    "properties": {"type": "dict", "default": {}},
    "secret_properties": {"type": "dict", "default": {}, "no_log": True},
    "state": {"type": "str", "choices": ["absent", "present"], "default": "present"},
    "backup": {"type": "bool", "default": False},
    "restore_guard": {"type": "str", "choices": ["absent", "armed"]},
    "restore_set": {"type": "str"},
    "restore_by": {"type": "str"},
    "restore_kept": {"type": "path"},
}


def main() -> None:
    module = EnvironmentModule(
        argument_spec=SPEC,
        secrets=lambda params: in_properties(params.get("properties")) if params.get("state") == "present" else (),
        required_if=[("restore_guard", "armed", ["restore_set"])],
        supports_check_mode=True,
    )
    given = module.params
    with fail_json_on_error(module):
        compute = functools.partial(
            change,
            path=given["path"],
            home=given["home"],
            version=given["version"],
            properties=given["properties"],
            secret_properties=given["secret_properties"],
            present=given["state"] == "present",
            restore_guard=given["restore_guard"],
            restore_set=given["restore_set"],
            restore_by=given["restore_by"],
        )
        plan = compute()
        backup_file = plan.kept
        if plan.changed and not module.check_mode:
            with alone(plan.path):
                plan = compute()  # another node may have changed it meanwhile, to the same end
                backup_file = plan.keep() if plan.changed and given["backup"] else plan.kept
                if plan.changed:
                    plan.write(backup_file or given["restore_kept"])
        module.exit_json(
            changed=plan.changed,
            conf=plan.path,
            properties_changed=plan.properties_changed,
            guard_changed=plan.guard_changed,
            guard_replaced=plan.guard_replaced,
            backup_file=backup_file,
            diff=plan.diff,
        )


if __name__ == "__main__":
    main()
