#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: h2_info
short_description: Open a copy of an embedded H2 database and read the blob keys of its repository
description:
  - Proves that a copied file of H2 can be opened, by opening it with the H2 of its instance.
  - Collects every blob key that the repository refers to, as M(nuxeo.platform.postgresql_dump) does for PostgreSQL.
  - The file itself is not touched. A copy of it is opened and removed afterwards.
version_added: 1.0.0
author: Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.nuxeo_conf
  - nuxeo.platform.nuxeo_properties
  - nuxeo.platform.progress
attributes:
  check_mode:
    support: full
    details: Reads all, writes no list of keys.
  diff_mode:
    support: none
    details: The list of keys may have millions of lines.
  idempotent:
    support: full
options:
  path:
    description:
      - The database file, with C(.mv.db) or C(.h2.db) or without.
      - Without, C(.mv.db) is taken where both are there.
    type: path
    required: true
  dest:
    description:
      - The folder for C(blob-keys.txt), made when it is absent. In a backup set it is C(database).
      - Without it the keys are only counted.
    type: path
  home:
    description:
      - E(NUXEO_HOME) of the instance, in which C(nxserver/lib/h2*.jar) is looked for.
      - Default is O(nuxeo_home).
    type: path
  jar:
    description:
      - The file of H2.
      - Default is the newest one found in O(home).
    type: path
  java:
    description:
      - The program C(java).
      - Default is the one in E(JAVA_HOME), else on E(PATH).
    type: path
  login_user:
    description:
      - The user of the database.
      - Default is the one in O(nuxeo_conf), else V(sa).
    type: str
  login_password:
    description:
      - The user's password.
      - Default is the one in O(nuxeo_conf), else none.
    type: str
  require_blob_keys:
    description: Whether a database without a table C(CONTENT) of Nuxeo's is an error.
    type: bool
    default: true
  open:
    description:
      - Whether the file is opened.
      - V(false) only tries whether Java can start the H2, while the server of the instance still has the file open.
    type: bool
    default: true
requirements:
  - Java, as for Nuxeo itself
notes:
  - The server must have been stopped when the file was copied. A file of H2 1.x can't be read by 2.x.
seealso:
  - module: nuxeo.platform.postgresql_dump
"""

EXAMPLES = r"""
- name: Read the blob keys of a copied database
  nuxeo.platform.h2_info:
    path: /srv/backup/acme/sets/.partial-4f1c/files/node1/data/h2/nuxeo
    dest: /srv/backup/acme/sets/.partial-4f1c/database
    home: /opt/nuxeo

- name: See whether a copy of another database can be opened
  nuxeo.platform.h2_info:
    path: /srv/copy/other.mv.db
    jar: /opt/h2/h2-2.2.224.jar
    java: /opt/java/bin/java
    login_user: other
    login_password: "{{ vault_other_password }}"
    require_blob_keys: false
"""

RETURN = r"""
file:
  description: The file that was read. Of O(open=false) this and what was in it are empty.
  returned: success
  type: str
  sample: /srv/copy/h2/nuxeo.mv.db
bytes:
  description: Its size.
  returned: success
  type: int
  sample: 7340032
h2_version:
  description: The version of H2 that read it.
  returned: success
  type: str
  sample: 2.2.224
jar:
  description: The file of that H2.
  returned: success
  type: str
  sample: /opt/nuxeo/nxserver/lib/h2-2.2.224.jar
tables:
  description: How many tables it has.
  returned: success
  type: int
  sample: 143
blob_keys:
  description: How many different blob keys the repository refers to.
  returned: success
  type: int
  sample: 4113
blob_providers:
  description:
    - The blob stores that these keys name before a colon.
    - An empty one stands for keys without a colon, which are in the repository's own.
  returned: success
  type: list
  elements: str
  sample: ["", "other"]
duration:
  description: How many seconds it took.
  returned: success
  type: float
  sample: 2.4
"""

import os
import typing as t

from ansible_collections.nuxeo.platform.plugins.module_utils._argspec import NUXEO_CONF, NUXEO_PROPERTIES, PROGRESS
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.login import database_login
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.option import EnvironmentModule
from ansible_collections.nuxeo.platform.plugins.module_utils._database.h2 import H2Request, read, shell_of, try_out
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error
from ansible_collections.nuxeo.platform.plugins.module_utils._progress import Progress


def request(params: t.Dict[str, t.Any], work: t.Optional[str]) -> H2Request:
    """What the options ask for."""
    user, password = params["login_user"], params["login_password"]
    if params["nuxeo_conf"] and (user is None or password is None):
        found = database_login(
            params["nuxeo_conf"],
            params["nuxeo_home"],
            params["nuxeo_environment"],
            params["nuxeo_version"],
            ignore_guard=True,  # the file that is read is a copy, which nobody starts
            properties=params["nuxeo_properties"],
        )
        user = found.user if user is None else user
        password = found.password if password is None and user == found.user else password
    return H2Request(
        path=params["path"],
        jar=params["jar"],
        home=params["home"] or params["nuxeo_home"],
        java=params["java"],
        user=user or "sa",
        password=password or "",
        require_blob_keys=params["require_blob_keys"],
        work=work,
    )


def main() -> None:
    module = EnvironmentModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "dest": {"type": "path"},
            "home": {"type": "path"},
            "jar": {"type": "path"},
            "java": {"type": "path"},
            "login_user": {"type": "str"},
            "login_password": {"type": "str", "no_log": True},
            "require_blob_keys": {"type": "bool", "default": True},
            "open": {"type": "bool", "default": True},
            **NUXEO_CONF,
            **NUXEO_PROPERTIES,
            **PROGRESS,
        },
        supports_check_mode=True,
    )

    shell = shell_of(module)
    with fail_json_on_error(module):
        os.umask(0o077)
        dest = None if module.check_mode else module.params["dest"]
        if not module.params["open"]:
            module.exit_json(**try_out(request(module.params, None), shell))
        wanted = request(module.params, dest)
        keys = os.path.join(dest, "blob-keys.txt") if dest else None
        with Progress(module.params["progress"], f"opening of '{os.path.basename(wanted.path)}'"):
            result = read(wanted, shell, keys)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
