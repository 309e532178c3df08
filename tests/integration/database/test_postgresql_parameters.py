# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters that are set for a database and for roles in it: a value may be a secret, or another role."""

from __future__ import annotations

import json
import typing as t

import pytest

from .conftest import Run, as_admin, as_owner, login

SECRETS = """
ALTER DATABASE "{name}" SET app.key = 'canary-1'; ALTER DATABASE "{name}" SET work_mem = '7MB';
ALTER ROLE "{user}" IN DATABASE "{name}" SET app.other = 'canary-2';
"""


def test_values_of_parameters_are_told_to_nobody_but_the_restore(
    dump_of: t.Any, target_on: t.Any, restore: Run, run_module: Run
) -> None:
    dumped, target = dump_of("15", SECRETS), target_on("15")
    again = {"dest": dumped.src.parent / "again", **login(dumped.source)}
    for result in (run_module("postgresql_dump", check=True, **again), run_module("postgresql_dump", **again)):
        assert result.get("changed") and "canary" not in json.dumps(result), result
        assert result["database"]["settings"] == ["app.key", "work_mem"]
        assert result["database"]["role_settings"] == [{"role": dumped.source.user, "setting": "app.other"}]
    holding = {path for path in again["dest"].rglob("*") if path.is_file() and b"canary" in path.read_bytes()}
    assert {(path.name, path.stat().st_mode & 0o777) for path in holding} == {("dump.json", 0o600), ("toc.dat", 0o600)}
    result = restore(src=dumped.src, **as_admin(target))
    assert result.get("changed") and "canary" not in json.dumps(result), result
    assert as_owner(target, "SHOW app.key; SHOW app.other; SHOW work_mem") == "canary-1\ncanary-2\n7MB"


def test_a_value_that_the_server_does_not_take_is_not_told(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    dumped, target = dump_of("15", SECRETS), target_on("15")
    path = dumped.src / "dump.json"
    path.write_text(path.read_text().replace("work_mem=7MB", "work_mem=canary-3"))
    result = restore(src=dumped.src, **as_admin(target))
    assert result.get("changed") and "canary" not in json.dumps(result), result
    assert result["messages"] == [
        "The parameter work_mem of the database could not be set: the server takes no such value"
    ]


BECOMES = """
CREATE ROLE "{user}_app" LOGIN NOINHERIT PASSWORD 'secret' IN ROLE "{user}";
ALTER ROLE "{user}_app" IN DATABASE "{name}" SET role = "{user}";
"""


@pytest.mark.parametrize("version", ["15", "18"])
def test_a_login_that_becomes_the_owner_by_a_parameter_does_so_again(
    dump_of: t.Any, make_database: t.Any, target_on: t.Any, restore: Run, version: str
) -> None:
    """As where each who may work for an owner has a login of one's own, and all that is made belongs to that."""
    dumped = dump_of(version, BECOMES)
    server, owner = dumped.source.server, dumped.source.user
    app = dumped.source._replace(user=f"{owner}_app", password="secret")
    result = restore(src=dumped.src, **as_admin(app, owner=owner, privileges=False, overwrite=True))
    assert f"Nuxeo logs in as '{app.user}', which has no rights of its owner '{owner}'" in result["msg"]
    for options in ({"owner": owner}, {}):
        result = restore(src=dumped.src, **as_admin(app, overwrite=True, **options))
        assert (result.get("changed"), result.get("owner"), result.get("messages")) == (True, owner, []), result
        assert as_owner(app, "SELECT current_user, count(*) FROM content") == f"{owner}|2002"
    another = target_on(version)
    server.psql(f'GRANT "{another.user}" TO "{app.user}"; ALTER ROLE "{app.user}" SET role = "{another.user}"')
    result = restore(src=dumped.src, **as_admin(another._replace(user=app.user, password="secret")))
    assert (result.get("changed"), result.get("owner")) == (True, another.user), result
