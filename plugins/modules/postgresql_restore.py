#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_restore
short_description: Restore what postgresql_dump has dumped
description:
  - Fills a database that was made under a temporary name by C(pg_restore) with several workers, compares it with what
    there was at the dump's snapshot (tables, tables with rows, large objects, extensions, every blob key), gathers the
    planner's statistics, and only then gives it its name.
  - Check mode tells what M(community.postgresql.postgresql_db) and M(community.postgresql.postgresql_ext) have to make
    first.
  - What had that name before is kept aside under another, in the same transaction. A database that was empty is
    dropped.
  - Where the login may not create databases, the target must be there and empty, and is filled in one transaction. So
    no half restored database ever has the target's name.
  - A superuser restores what O(owner) may not make, such as event triggers and privileges granted by others, and all
    else as O(owner).
  - All that stands in the way is told at once, before the first change.
version_added: 1.0.0
author: Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.nuxeo_conf
  - nuxeo.platform.nuxeo_properties
  - nuxeo.platform.postgresql
  - nuxeo.platform.progress
attributes:
  check_mode:
    support: full
    details: Makes all checks of a restore and fails for the same reasons. Changes nothing.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: Changes nothing when O(unchanged_since) is given and nobody has changed anything since.
options:
  src:
    description: The folder that M(nuxeo.platform.postgresql_dump) has written. In a backup set it is C(database).
    type: path
    required: true
  name:
    description:
      - The database to restore to.
      - Default is the one in O(nuxeo_conf).
    type: str
  admin_user:
    description:
      - A role that may create databases and act for O(owner), to do the work.
      - Default is the login of the instance.
    type: str
  admin_password:
    description: Its password.
    type: str
  owner:
    description:
      - The role that owns the database and all in it. The login of the instance must have its rights, as a member, or
        by privileges or its parameter C(role) in the dump that are restored.
      - Default is the owner of the database that is there, if the login has its rights, else the login of the instance.
    type: str
  jobs:
    description:
      - The workers of C(pg_restore), each with a connection of its own.
      - Default is the number of processors, at most 4.
    type: int
  overwrite:
    description:
      - Whether a database that is not empty may be replaced.
      - It is kept aside under its name followed by C(_before_) and the time in UTC.
    type: bool
    default: false
  privileges:
    description:
      - Whether privileges that were granted to other roles, and parameters that were set for them in the database, are
        restored. These roles must be there then.
      - Parameters that were set for the owner in the dump are set for O(owner) in any case.
      - Who may connect is taken from the database that is there. A new one is open to those to whom that in the dump
        was.
      - Default is V(true) where O(owner) is the owner in the dump, else V(false).
    type: bool
  locale:
    description:
      - The locale of the database when it has to be made, where the server's host does not know that of the dump.
      - Default is that of the database that is there, else that of the dump.
    type: str
  bin_dir:
    description:
      - The folder of C(pg_restore).
      - Default is a client of the server's major version, else the next older one that is not older than what made the
        dump, else the next newer one.
    type: path
  unchanged_since:
    description:
      - The RV(fingerprint) of an earlier restore of the same set.
      - When the database still has it, and O(owner) and O(privileges) mean what they meant then, nothing is done.
    type: dict
  temporary:
    description:
      - The database that was made with the options of RV(create), with its extensions. It gets the name of the target
        when it is whole.
      - Required but in check mode, and where the login may not create databases.
    type: str
  marked:
    description:
      - A data folder that M(nuxeo.platform.restore_marker) has marked for this restore. As soon as the database is
        whole the mark tells so, to whoever goes on with the restore when the caller was killed meanwhile.
      - Nothing is told when another O(run) has marked the folder since.
    type: path
  run:
    description: As O(nuxeo.platform.restore_marker#module:run) was given. Required with O(marked).
    type: str
  in_use:
    description:
      - What sessions in the target database mean.
      - V(accept) is for a check before Nuxeo is stopped, and works in check mode only. What does not end with Nuxeo is
        an error all the same, such as who reads the changes of the database, and prepared transactions that are left.
    type: str
    choices: [refuse, accept]
    default: refuse
requirements:
  - psycopg >= 3.1 or psycopg2, in the Python that runs the module
  - C(pg_restore) of the major version that made the dump, or newer; at least 12 for a server of 12 or newer
notes:
  - Nuxeo must be stopped on all nodes. A session in the target database, whoever holds it, is an error that names it,
    and so is a prepared transaction.
  - What functions of indexes and views name without its schema is looked for where the login of the dump did, but for
    nothing that the rows of a table call (CHECK, generated columns). From PostgreSQL 17 on the
    server itself looks nowhere for those that an index or a materialized view calls. Such a restore fails and says so.
  - A dump runs code of its maker with the rights of the login that restores it. Restore only what you trust.
seealso:
  - module: nuxeo.platform.postgresql_dump
  - module: nuxeo.platform.postgresql_login
  - module: community.postgresql.postgresql_db
  - module: community.postgresql.postgresql_ext
"""

EXAMPLES = r"""
- name: Ask what stands in the way, and what has to be made
  nuxeo.platform.postgresql_restore: &restore
    src: /srv/backup/acme/sets/20261123T020004Z/database
    login_host: db-test.example.com
    login_user: nuxeo_test
    login_password: "{{ vault_nuxeo_test_password }}"
    admin_user: postgres
    admin_password: "{{ vault_postgres_password }}"
    name: nuxeo_test
    owner: nuxeo_test
    locale: C.UTF-8
  check_mode: true
  register: foreseen

- name: Make the database that is filled
  community.postgresql.postgresql_db:
    login_host: db-test.example.com
    login_user: postgres
    login_password: "{{ vault_postgres_password }}"
    name: "{{ foreseen.create.name }}"
    owner: "{{ foreseen.create.owner }}"
    encoding: "{{ foreseen.create.encoding }}"
    lc_collate: "{{ foreseen.create.lc_collate }}"
    lc_ctype: "{{ foreseen.create.lc_ctype }}"
    template: template0
    comment: "{{ foreseen.create.comment }}"

- name: Clone an instance's database to another server under another name and owner
  nuxeo.platform.postgresql_restore:
    <<: *restore
    temporary: "{{ foreseen.create.name }}"

- name: Restore the database of an instance, as its own user, into one that is there and empty
  nuxeo.platform.postgresql_restore:
    src: /srv/backup/acme/sets/20261123T020004Z/database
    nuxeo_conf: /etc/nuxeo/nuxeo.conf
    nuxeo_home: /opt/nuxeo
"""

RETURN = r"""
name:
  description: The database.
  returned: success
  type: str
  sample: nuxeo
owner:
  description: The role that owns it.
  returned: success
  type: str
  sample: nuxeo
kept_aside:
  description: What the database that was there before is called now. Empty when there was none, or nothing in it.
  returned: success
  type: str
  sample: nuxeo_before_20261123T101500Z
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
in_place:
  description: Whether an empty database was filled in one transaction, since the login may not create one.
  returned: success
  type: bool
  sample: false
create:
  description:
    - The options of M(community.postgresql.postgresql_db) that make the database to fill. Empty where nothing has to be
      made, and without check mode.
    - Its name goes to O(temporary). Extensions go into it, or into the target where this is empty.
  returned: success
  type: dict
  sample: {name: nuxeo_restore_20261123T101500Z, owner: nuxeo, encoding: UTF8, lc_collate: C.UTF-8}
schemas:
  description: The schemas that have to be made for extensions. Empty without check mode.
  returned: success
  type: list
  elements: str
extensions:
  description: The extensions that have to be made. Empty without check mode.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: For O(community.postgresql.postgresql_ext#module:name).
      type: str
    schema:
      description: For O(community.postgresql.postgresql_ext#module:schema).
      type: str
server:
  description: The server's version and identity.
  returned: success
  type: dict
  contains:
    version:
      description: Its version.
      type: str
      sample: "15.18"
    system_identifier:
      description: Which cluster it is.
      type: str
      sample: "7711289764404987112"
fingerprint:
  description:
    - What changes when anybody changes a row, a table, a sequence or an owner, for O(unchanged_since) of a later run.
    - Empty in check mode, unless nothing would be done.
  returned: success
  type: dict
  contains:
    system_identifier:
      description: Which cluster it is.
      type: str
    database_oid:
      description: Which database of the cluster it is.
      type: int
    changes:
      description: The rows inserted, updated and deleted so far, also of large objects, as the server counts them.
      type: int
    stats_reset:
      description: When these counts were set to 0 last.
      type: str
    shape:
      description:
        - A digest of its owner, of its tables with their owners, columns, constraints and files, and of where its
          sequences stand.
      type: str
    owner:
      description: The role to which it was restored.
      type: str
    privileges:
      description: Whether privileges and parameters of other roles were restored.
      type: bool
messages:
  description: What is not as in the dump, e.g. parameters of the database that may not be set.
  returned: success
  type: list
  elements: str
problems:
  description: All that stands in the way of the restore.
  returned: failure before the first change
  type: list
  elements: str
duration:
  description: How many seconds it took.
  returned: success
  type: float
  sample: 312.8
"""

import dataclasses
import typing as t

from ansible_collections.nuxeo.platform.plugins.module_utils._argspec import NUXEO_PROPERTIES, PROGRESS
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.marker import note_filled
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.option import EnvironmentModule
from ansible_collections.nuxeo.platform.plugins.module_utils._database.login import LOGIN, from_params
from ansible_collections.nuxeo.platform.plugins.module_utils._database.postgresql_dump import default_jobs
from ansible_collections.nuxeo.platform.plugins.module_utils._database.postgresql_restore import (
    RestoreRequest,
    predict,
    restore,
)
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error
from ansible_collections.nuxeo.platform.plugins.module_utils._process import run
from ansible_collections.nuxeo.platform.plugins.module_utils._progress import Progress


def request(params: t.Dict[str, t.Any], check: bool) -> RestoreRequest:
    """What the options ask for."""
    login = from_params(params, guarded=True)
    admin = None
    if params["admin_user"]:
        admin = dataclasses.replace(login, user=params["admin_user"], password=params["admin_password"] or "")
    return RestoreRequest(
        src=params["src"],
        login=login,
        admin=admin,
        owner=params["owner"],
        jobs=params["jobs"] or default_jobs(),
        overwrite=params["overwrite"],
        privileges=params["privileges"],
        locale=params["locale"],
        bin_dir=params["bin_dir"],
        unchanged_since=params["unchanged_since"],
        temporary=params["temporary"],
        in_use=params["in_use"] == "accept" and check,
    )


def diff(result: t.Dict[str, t.Any]) -> t.Dict[str, t.Any]:
    """What becomes of the databases."""
    before = {"database": result["name"]} if result["kept_aside"] else {}
    after = {"database": result["name"], "owner": result["owner"], "tables": result["tables"]}
    return {"before": before, "after": {**after, "kept_aside": result["kept_aside"]} if result["changed"] else before}


def main() -> None:
    module = EnvironmentModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "name": {"type": "str"},
            "admin_user": {"type": "str"},
            "admin_password": {"type": "str", "no_log": True},
            "owner": {"type": "str"},
            "jobs": {"type": "int"},
            "overwrite": {"type": "bool", "default": False},
            "privileges": {"type": "bool"},
            "locale": {"type": "str"},
            "bin_dir": {"type": "path"},
            "unchanged_since": {"type": "dict"},
            "temporary": {"type": "str"},
            "in_use": {"type": "str", "choices": ["refuse", "accept"], "default": "refuse"},
            "marked": {"type": "path"},
            "run": {"type": "str"},
            **LOGIN,
            **NUXEO_PROPERTIES,
            **PROGRESS,
        },
        required_together=[("marked", "run")],
        supports_check_mode=True,
    )
    with fail_json_on_error(module):
        wanted = request(module.params, module.check_mode)
        if module.check_mode:
            result = module.whole("Check of the database's restore", predict(wanted, run))
        else:
            with Progress(module.params["progress"], "restore") as progress:
                result = restore(wanted, run, progress)
                if result["changed"] and module.params["marked"]:
                    note_filled(module.params["marked"], module.params["run"], result)
        for message in result["messages"]:
            module.warn(message)
        module.exit_json(diff=diff(result), **result)


if __name__ == "__main__":
    main()
