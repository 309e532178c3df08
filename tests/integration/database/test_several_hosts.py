# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A JDBC URL that names a standby before the primary, and a host where nobody listens before both."""

from __future__ import annotations

import typing as t
from pathlib import Path

from servers.nuxeo.ports import free_port

from .conftest import COMMUNITY, Run, as_owner, node_of, sums


def test_the_primary_is_found_behind_its_standby(
    standby15: t.Any, postgresql15: t.Any, make_database: t.Any, fill_database: t.Any, run_module: Run, tmp_path: Path
) -> None:
    database = make_database(postgresql15)
    fill_database(database, rows=50)
    rows = sums(postgresql15, database.name)
    hosts = ",".join(f"127.0.0.1:{port}" for port in (free_port(), standby15.port, postgresql15.port))
    node = node_of(tmp_path / "home", database, f"{hosts}/{database.name}?targetServerType=primary")
    dumped = run_module("postgresql_dump", dest=tmp_path / "out", **node)
    assert dumped.get("changed"), dumped

    given = run_module("postgresql_login", label="test", **node)
    options = {f"login_{key}": given[key] for key in ("host", "port", "user")}
    asked = {**options, "login_db": given["name"], "connect_params": given["connect_params"]}
    info = run_module("postgresql_info", COMMUNITY, filter=["in_recovery"], **asked)
    run_module("postgresql_login", state="absent", token=given["token"])
    assert info["in_recovery"] is False, info

    postgresql15.drop_database(database.name)
    postgresql15.psql(f'CREATE DATABASE "{database.name}" OWNER "{database.user}"')
    as_read = run_module("nuxeo_conf_facts", path=node["nuxeo_conf"], home=node["nuxeo_home"], version="2023.31")
    place = as_read["ansible_facts"]["nuxeo"]["database"]
    result = run_module(
        "postgresql_restore", src=tmp_path / "out", login_host=place["host"], login_port=place["port"], **node
    )
    assert result.get("changed"), result
    assert sums(postgresql15, database.name) == rows
    assert as_owner(database, "SELECT 1") == "1"
