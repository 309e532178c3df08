#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_login
short_description: Let modules of community.postgresql log in with the password of nuxeo.conf
description:
  - Reads the login of the database on the node and writes its password into a file there, which only its owner can
    read. Returns the rest, which is no secret, as the modules of community.postgresql take it.
  - So these modules log in on the node, and the password comes neither to the controller nor into any result.
  - There is one file for each O(label) and login, in memory where the node has C(/dev/shm). What a killed run left is
    replaced by the next run to the same login, or gone when the node is booted.
version_added: 1.0.0
author: Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.nuxeo_conf
  - nuxeo.platform.nuxeo_properties
  - nuxeo.platform.postgresql
attributes:
  check_mode:
    support: none
    details: Say C(check_mode=false) for the task, so that the modules that follow can ask the server in check mode too.
  diff_mode:
    support: none
    details: There is nothing to show but a secret.
  idempotent:
    support: none
    details: Each run writes a file of its own.
options:
  state:
    description: V(present) writes the password file, V(absent) removes it.
    type: str
    choices: [present, absent]
    default: present
  label:
    description:
      - What tells the file from those of other runs to the same login, one for each purpose, instance and backup root.
      - Required for O(state=present).
    type: str
  token:
    description:
      - RV(token) of the run that wrote the file. Required for O(state=absent).
      - A file that another run has written meanwhile stays.
    type: str
  name:
    description:
      - The database to log in to.
      - Default is the one in O(nuxeo_conf).
    type: str
notes:
  - A C(nuxeo.conf) that an unfinished restore keeps from being used is read as if it were not.
seealso:
  - module: community.postgresql.postgresql_ping
  - module: community.postgresql.postgresql_db
"""

EXAMPLES = r"""
- name: Lay the password of an instance's database down, for this user alone
  nuxeo.platform.postgresql_login:
    label: ask-acme
    name: nuxeo
    nuxeo_conf: /etc/nuxeo/nuxeo.conf
  register: login

- name: Does the server answer
  community.postgresql.postgresql_ping:
    login_host: "{{ login.host }}"
    login_port: "{{ login.port }}"
    login_user: "{{ login.user }}"
    login_db: "{{ login.name }}"
    connect_params: "{{ login.connect_params }}"

# in the always part of a block, so that it is done whatever happens
- name: Take the password back
  nuxeo.platform.postgresql_login:
    state: absent
    token: "{{ login.token }}"
"""

RETURN = r"""
host:
  description: For C(login_host). Empty is the local socket.
  returned: O(state=present)
  type: str
  sample: db.example.com
port:
  description: For C(login_port). The first, where several hosts have different ones; RV(connect_params) has all then.
  returned: O(state=present)
  type: int
  sample: 5432
name:
  description: For C(login_db).
  returned: O(state=present)
  type: str
  sample: nuxeo
user:
  description: For C(login_user).
  returned: O(state=present)
  type: str
  sample: nuxeo
connect_params:
  description: For C(connect_params), further parameters of libpq, such as C(sslmode), and C(passfile), the file's path.
  returned: O(state=present)
  type: dict
  sample: {passfile: /dev/shm/pgpass-0/5b8a2cf1d63e7a90cc41d8f2a7be1103, sslmode: require}
token:
  description: For O(token) of the task that removes the file.
  returned: O(state=present)
  type: str
  sample: 5b8a2cf1d63e7a90cc41d8f2a7be1103-5f0c6a1de3b94e07
"""

from ansible_collections.nuxeo.platform.plugins.module_utils._argspec import NUXEO_PROPERTIES
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.option import EnvironmentModule
from ansible_collections.nuxeo.platform.plugins.module_utils._database.handed_login import hand, take_back
from ansible_collections.nuxeo.platform.plugins.module_utils._database.login import LOGIN, from_params
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error


def main() -> None:
    """Ansible calls this."""
    module = EnvironmentModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "label": {"type": "str"},
            "token": {"type": "str", "no_log": False},  # it tells files apart and opens nothing
            "name": {"type": "str"},
            **LOGIN,
            **NUXEO_PROPERTIES,
        },
        required_if=[("state", "present", ("label",)), ("state", "absent", ("token",))],
    )
    p = module.params
    with fail_json_on_error(module):
        if p["state"] == "absent":
            module.exit_json(changed=take_back(p["token"]))
        login = from_params(p, guarded=True)
        module.exit_json(changed=True, **hand(login, p["label"]))


if __name__ == "__main__":
    main()
