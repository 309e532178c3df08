# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which entries of an archive a superuser restores, as pg_restore 15 and 18 list them."""

from __future__ import annotations

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._database.archive import ENTRY, Archive
from ansible_collections.nuxeo.platform.plugins.module_utils._database.shares import default_roles, shares, superusers

LISTED = """
1; 0 0 ACL - SCHEMA public pg_database_owner
2; 0 0 ACL - LANGUAGE plpgsql postgres
3; 0 0 ACL pg_catalog FUNCTION pg_ls_dir(text) postgres
4; 1255 16408 FUNCTION public e() postgres
5; 2328 16410 FOREIGN DATA WRAPPER - dummy postgres
6; 0 0 COMMENT - FOREIGN DATA WRAPPER dummy postgres
7; 0 0 ACL - FOREIGN DATA WRAPPER dummy postgres
8; 1417 16411 SERVER - srv postgres
9; 0 0 USER MAPPING - USER MAPPING nx SERVER srv postgres
10; 1259 16391 TABLE public a b nx
11; 1259 16414 FOREIGN TABLE public ft nx
12; 0 0 ACL public COLUMN t.a nx
13; 1259 16394 MATERIALIZED VIEW public mv nx
14; 0 16391 TABLE DATA public a b nx
15; 6104 16401 PUBLICATION - p x postgres
16; 0 0 COMMENT - PUBLICATION "p x" postgres
17; 6104 16402 PUBLICATION - q nx
18; 6104 16405 PUBLICATION - r postgres
19; 6106 16404 PUBLICATION TABLE public q a b nx
20; 6106 16403 PUBLICATION TABLE public r t postgres
21; 6237 16406 PUBLICATION TABLES IN SCHEMA public r public postgres
22; 6100 16407 SUBSCRIPTION - s postgres
23; 0 0 COMMENT - SUBSCRIPTION s postgres
24; 826 16398 DEFAULT ACL public DEFAULT PRIVILEGES FOR TABLES nx
25; 826 16400 DEFAULT ACL - DEFAULT PRIVILEGES FOR LARGE OBJECTS we ird
26; 3466 16409 EVENT TRIGGER - et postgres
27; 0 16394 MATERIALIZED VIEW DATA public mv nx
28; 2605 16420 CAST - CAST (integer AS text)
29; 0 0 COMMENT - CAST (integer AS text)
30; 2605 16421 CAST - CAST (public.a AS text)
31; 2616 16422 OPERATOR CLASS public _uuid_ops postgres
32; 2753 16423 OPERATOR FAMILY public _uuid_ops postgres
"""


@pytest.fixture
def made() -> Archive:
    """An archive that holds a bit of everything."""
    found = [match for match in map(ENTRY.match, LISTED.splitlines()) if match]
    return Archive("/d", {}, tuple((int(one.group(1)), int(one.group(3)), one.group(4)) for one in found))


def test_the_owner_to_be_restores_all_that_it_can(made: Archive) -> None:
    apart = shares(made, {"CAST (integer AS text)"}, {16391})  # the same number is that of a table here
    assert apart.among == {5, 6, 8, 9, 28, 29, 31, 32}
    others = {number for number, _oid, _what in made.entries} - apart.among - apart.after
    assert others == {4, 10, 11, 13, 14, 17, 19, 30}


def test_what_needs_a_superuser_is_named_once(made: Archive) -> None:
    named = superusers(made, privileges=False)
    assert [what.rpartition(" ")[0] for what in named] == [
        "EVENT TRIGGER - et",
        "FOREIGN DATA WRAPPER - dummy",
        "OPERATOR CLASS public _uuid_ops",
        "OPERATOR FAMILY public _uuid_ops",
        "PUBLICATION - p x",
        "PUBLICATION - r",
        "PUBLICATION TABLE public r t",
        "PUBLICATION TABLES IN SCHEMA public r public",
        "SERVER - srv",
        "SUBSCRIPTION - s",
        "USER MAPPING - USER MAPPING nx SERVER srv",
    ]
    assert set(superusers(made, privileges=True)) - set(named) == {
        "ACL - FOREIGN DATA WRAPPER dummy postgres",
        "ACL - LANGUAGE plpgsql postgres",
        "ACL pg_catalog FUNCTION pg_ls_dir(text) postgres",
    }


def test_a_function_in_a_language_for_superusers_is_theirs(made: Archive) -> None:
    assert 4 in shares(made, functions={16408}).among
    assert "FUNCTION public e() postgres" in superusers(made, privileges=False, functions={16408})


def test_roles_of_default_privileges(made: Archive) -> None:
    assert default_roles(made) == {"nx", "we ird"}
