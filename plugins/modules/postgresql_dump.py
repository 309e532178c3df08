#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_dump
short_description: Dump a Nuxeo database of PostgreSQL and its blob keys at one snapshot
description:
  - Opens a repeatable-read transaction, exports its snapshot, and lets C(pg_dump) read exactly that snapshot in
    directory format with several workers. Rows committed later are not in the dump, whoever works meanwhile.
  - At the same snapshot it collects every blob key that the repository refers to.
  - Succeeds only when C(pg_dump) ended with code 0 and said nothing but what RV(messages) tells, C(pg_restore) reads
    the archive, and the archive holds the data of every table and every large object that there was at the snapshot.
  - Writes C(dump/), C(dump.json), C(blob-keys.txt) and C(record-digests.txt) into O(dest), all of them owner-only and
    on disk when the module ends.
version_added: 1.0.0
author: Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.nuxeo_conf
  - nuxeo.platform.postgresql
  - nuxeo.platform.progress
attributes:
  check_mode:
    support: full
    details: Logs in, and checks the server, the client, the compression and the rights. Writes nothing.
  diff_mode:
    support: none
    details: A dump changes nothing that was there.
  idempotent:
    support: none
    details: Each dump is a new one. A O(dest) that holds one is refused.
options:
  dest:
    description:
      - The folder to write to, made when it is absent. In a backup set it is C(database).
    type: path
    required: true
  name:
    description:
      - The database.
      - Default is the one in O(nuxeo_conf).
    type: str
  jobs:
    description:
      - The workers of C(pg_dump), each with a connection of its own.
      - Default is the number of processors, at most 4.
    type: int
  compression:
    description:
      - V(auto) is V(zstd) where C(pg_dump) really can, else V(gzip:1), which is some three times as fast as level 6
        for a dump that is about a sixth larger.
      - V(gzip), V(lz4) and V(zstd) take a level after a colon. V(none) compresses nothing.
    type: str
    default: auto
  bin_dir:
    description:
      - The folder of C(pg_dump) and C(pg_restore).
      - Default is the client of the server's own major version, else the next newer one, of those on E(PATH) and in
        C(/usr/lib/postgresql/*/bin), C(/usr/pgsql-*/bin), C(/usr/local/pgsql/bin) and C(/opt/pgsql-*/bin). An archive
        of a newer client can't be read by the client of the server's version. A client older than the server is
        refused.
    type: path
  require_blob_keys:
    description:
      - Whether a database without a table C(content) of Nuxeo's is an error.
      - Say V(false) when the repository is elsewhere and the database holds directories and audit only.
    type: bool
    default: true
  lock_timeout:
    description:
      - How many seconds to wait for a table that another session has locked exclusively.
      - From before the snapshot until the dump has ended every table is locked against being emptied or written anew.
    type: int
    default: 300
  cut:
    description:
      - A file that is written directly after the snapshot, before the bulk is read, for what has to be read then. See
        O(nuxeo.platform.kafka_topic_info#module:cut).
      - It is written as well when there will be no snapshot.
    type: path
requirements:
  - psycopg >= 3.1 or psycopg2, in the Python that runs the module
  - C(pg_dump) and C(pg_restore) of the server's major version or newer
notes:
  - The snapshot's transaction stays open until C(pg_dump) has ended. Meanwhile the server can't remove dead rows that
    were alive at the snapshot, as with any dump.
  - The session lifts C(statement_timeout), C(idle_in_transaction_session_timeout) and their like for itself.
  - A standby is refused, since the time of its snapshot can't be told by its clock.
seealso:
  - module: nuxeo.platform.postgresql_restore
  - module: community.postgresql.postgresql_db
"""

EXAMPLES = r"""
- name: Dump the database of an instance
  nuxeo.platform.postgresql_dump:
    nuxeo_conf: /etc/nuxeo/nuxeo.conf
    nuxeo_home: /opt/nuxeo
    dest: /srv/backup/acme/sets/.partial-4f1c/database
    jobs: 4
  register: dump

- name: Dump with a login of its own
  nuxeo.platform.postgresql_dump:
    dest: /srv/dumps/acme
    name: nuxeo
    login_host: db1.example.com
    login_user: backup
    login_password: "{{ vault_backup_password }}"
    ssl_mode: verify-full
    ca_cert: /etc/ssl/certs/internal-ca.pem
    require_blob_keys: false
    lock_timeout: 600
"""

RETURN = r"""
backup_date:
  description:
    - The time of the snapshot by the server's clock. Whatever was committed by then is in the dump.
    - Empty in check mode.
  returned: success
  type: str
  sample: "2026-11-23T02:00:04.512345Z"
id:
  description: The same to the second, as the name of a set. Empty in check mode.
  returned: success
  type: str
  sample: 20261123T020004Z
snapshot:
  description: The server's name of the snapshot. Empty in check mode.
  returned: success
  type: str
  sample: 00000004-0000A2B1-1
snapshot_window:
  description: So many seconds after RV(backup_date) the snapshot had certainly been taken.
  returned: success
  type: float
  sample: 0.000123
server:
  description: The server's version and identity.
  returned: success
  type: dict
  contains:
    version:
      description: Its version.
      type: str
      sample: "15.18"
    major:
      description: Its major version.
      type: int
      sample: 15
    system_identifier:
      description: Which cluster it is.
      type: str
      sample: "7711289764404987112"
client_version:
  description: The version of C(pg_dump).
  returned: success
  type: str
  sample: "15.18"
compression:
  description: How the dump is compressed.
  returned: success
  type: str
  sample: gzip:1
database:
  description: What the database is.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
    encoding:
      description: Its encoding.
      type: str
      sample: UTF8
    collate:
      description: Its order of letters.
      type: str
      sample: en_US.UTF-8
    ctype:
      description: Its kinds of letters.
      type: str
      sample: en_US.UTF-8
    locale_provider:
      description: Who knows the locale, one of V(libc), V(icu) and V(builtin).
      type: str
    locale:
      description: The locale for the provider, where it isn't V(libc).
      type: str
    owner:
      description: The role that owns it.
      type: str
    size:
      description: Its size on the server's disk, in bytes.
      type: int
    settings:
      description: Names of the parameters set for the database. A value may be a secret and is not told.
      type: list
      elements: str
    role_settings:
      description: Parameters set for roles in this database, each with V(role), and its name in V(setting).
      type: list
      elements: dict
    access:
      description:
        - Privileges on the database itself of others than its owner, each with V(role), V(privilege) and V(grantable).
        - The role is empty for everybody. The list is null where nobody has changed what a server gives everybody.
      type: list
      elements: dict
    extensions:
      description: Its extensions, each with V(name), V(version) and V(schema).
      type: list
      elements: dict
    casts:
      description:
        - Casts between the server's own types, each with its V(name) and the V(function) that it needs, which is null
          where the server has it.
      type: list
      elements: dict
    grantees:
      description: Roles that were given privileges on objects in it, or gave them.
      type: list
      elements: str
    grantors:
      description: Those of them that are not the objects' owners and gave privileges on to others.
      type: list
      elements: str
    public_changed:
      description: Whether privileges on the schema C(public) were changed.
      type: bool
    policies:
      description: Roles that policies for rows are for.
      type: list
      elements: str
    search_path:
      description:
        - The schemas in which the login looks for a table that is named without one.
        - The restore looks there, too, for what functions name without its schema.
      type: list
      elements: str
tables:
  description: The tables whose data is in the dump.
  returned: success
  type: int
  sample: 143
large_objects:
  description: The large objects in the dump.
  returned: success
  type: int
  sample: 0
blob_keys:
  description: How many different blob keys the repository refers to. 0 in check mode.
  returned: success
  type: int
  sample: 1204113
blob_providers:
  description:
    - The blob stores that these keys name before a colon.
    - An empty one stands for keys without a colon, which are in the repository's own.
    - Empty in check mode.
  returned: success
  type: list
  elements: str
  sample: ["", "other"]
bytes:
  description: The size of the dump. 0 in check mode.
  returned: success
  type: int
  sample: 734003200
jobs:
  description: The workers of C(pg_dump).
  returned: success
  type: int
  sample: 4
messages:
  description: Messages that are no fault of the dump, that the server's C library has changed its order of letters, or
    that the login may not read the database's subscriptions, so that they are not in it.
  returned: success
  type: list
  elements: str
duration:
  description: How many seconds it took.
  returned: success
  type: float
  sample: 192.4
"""

import typing as t

from ansible_collections.nuxeo.platform.plugins.module_utils._argspec import PROGRESS
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.option import EnvironmentModule
from ansible_collections.nuxeo.platform.plugins.module_utils._cut import Cut
from ansible_collections.nuxeo.platform.plugins.module_utils._database.login import LOGIN, from_params
from ansible_collections.nuxeo.platform.plugins.module_utils._database.postgresql_dump import (
    DumpRequest,
    default_jobs,
    dump,
    predict,
)
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error
from ansible_collections.nuxeo.platform.plugins.module_utils._process import run
from ansible_collections.nuxeo.platform.plugins.module_utils._progress import Progress


def request(params: t.Dict[str, t.Any]) -> DumpRequest:
    """What the options ask for."""
    return DumpRequest(
        login=from_params(params),
        dest=params["dest"],
        jobs=params["jobs"] or default_jobs(),
        compression=params["compression"],
        bin_dir=params["bin_dir"],
        require_blob_keys=params["require_blob_keys"],
        lock_timeout=params["lock_timeout"],
    )


def main() -> None:
    module = EnvironmentModule(
        argument_spec={
            "dest": {"type": "path", "required": True},
            "name": {"type": "str"},
            "jobs": {"type": "int"},
            "compression": {"type": "str", "default": "auto"},
            "bin_dir": {"type": "path"},
            "require_blob_keys": {"type": "bool", "default": True},
            "lock_timeout": {"type": "int", "default": 300},
            "cut": {"type": "path"},
            **LOGIN,
            **PROGRESS,
        },
        supports_check_mode=True,
    )
    with fail_json_on_error(module):
        wanted = request(module.params)
        if module.check_mode:
            module.exit_json(changed=True, **predict(wanted, run))
        with Cut(module.params["cut"]) as cut, Progress(module.params["progress"], "dump") as progress:
            result = dump(wanted, run, progress, cut.taken)
        for message in result["messages"]:
            module.warn(message)
        module.exit_json(changed=True, **result)


if __name__ == "__main__":
    main()
