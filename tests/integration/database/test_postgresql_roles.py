# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restored database has beside its rows: settings, parameters of roles, privileges, what superusers make."""

from __future__ import annotations

import json
import typing as t

import pytest

from .conftest import Run, as_admin, as_owner, databases, login


def test_settings_extensions_and_privileges_come_over(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    more = """
    CREATE SCHEMA "ext schema"; CREATE EXTENSION pgcrypto SCHEMA "ext schema"; CREATE EXTENSION pageinspect;
    ALTER DATABASE "{name}" SET search_path = "$user", public, "ext schema";
    ALTER DATABASE "{name}" SET work_mem = '7MB';
    DO 'BEGIN CREATE ROLE reporting; EXCEPTION WHEN duplicate_object THEN NULL; END';
    GRANT SELECT ON content TO reporting;
    """
    dumped, target = dump_of("15", more), target_on("15")
    unprivileged = restore(src=dumped.src, **login(target))
    assert "may not create the extension 'pageinspect'" in unprivileged["msg"]
    result = restore(src=dumped.src, **as_admin(target, privileges=True))
    assert result.get("changed"), result
    assert as_owner(target, "SHOW search_path") == '"$user", public, "ext schema"'
    assert as_owner(target, "SHOW work_mem") == "7MB"
    found = "SELECT extname, nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace ORDER BY 1"
    assert as_owner(target, found) == "pageinspect|public\npgcrypto|ext schema\nplpgsql|pg_catalog"
    granted = "SELECT has_table_privilege('reporting', 'content', 'SELECT')"
    assert as_owner(target, granted) == "t"
    result = restore(src=dumped.src, **as_admin(target, overwrite=True))
    assert as_owner(target, granted) == "f", "another owner gets no privileges of others by default"


ROLE = "DO 'BEGIN CREATE ROLE {0}; EXCEPTION WHEN duplicate_object THEN NULL; END';"


def test_parameters_of_roles_in_the_database_come_over(
    dump_of: t.Any, target_on: t.Any, restore: Run, run_module: Run
) -> None:
    """Without its search_path Nuxeo would find no table."""
    more = """
    CREATE SCHEMA nx AUTHORIZATION "{user}"; ALTER TABLE content SET SCHEMA nx;
    ALTER ROLE "{user}" IN DATABASE "{name}" SET search_path = nx, "$user", public;
    ALTER ROLE "{user}" IN DATABASE "{name}" SET default_transaction_read_only = on;
    ALTER ROLE "{user}" IN DATABASE "{name}" SET work_mem = '7MB';
    """
    other = ROLE.format("reports") + "ALTER ROLE reports IN DATABASE \"{name}\" SET work_mem = '8MB';"
    dumped, target = dump_of("15", more + other), target_on("15")
    for database, options in (
        (target, {}),  # another owner
        (dumped.source, {"overwrite": True}),
    ):
        result = restore(src=dumped.src, **as_admin(database, **options))
        assert result.get("changed"), result
        assert result["messages"] == []
        assert as_owner(database, "SHOW search_path") == 'nx, "$user", public'
        assert as_owner(database, "SHOW work_mem") == "7MB"
        assert as_owner(database, "SELECT count(*) FROM content") == "2002"
    of_other = (
        "SELECT datname FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase"
        " WHERE setrole = 'reports'::regrole AND setconfig = '{{work_mem=8MB}}' AND datname IN ('{}', '{}')"
    )
    assert target.server.psql(of_other.format(target.name, dumped.source.name)) == dumped.source.name
    target = target_on("18")
    missing = run_module("postgresql_restore", check=True, src=dumped.src, **as_admin(target, privileges=True))
    assert "not on the server: reports. Create them, or leave" in missing["msg"]
    target.server.psql(f'CREATE ROLE reports; ALTER ROLE "{target.user}" CREATEDB')
    closed = run_module("postgresql_restore", check=True, src=dumped.src, **login(target, privileges=True))
    assert "may not set the parameters that these roles have in the dump: reports" in closed["msg"]
    assert restore(src=dumped.src, **login(target, privileges=False)).get("changed")
    assert as_owner(target, "SHOW work_mem") == "7MB"
    target.server.psql("DROP ROLE reports")


def test_no_parameter_of_the_database_keeps_another_from_being_set(
    dump_of: t.Any, target_on: t.Any, restore: Run
) -> None:
    more = """
    ALTER DATABASE "{name}" SET default_transaction_read_only = on; ALTER DATABASE "{name}" SET work_mem = '7MB';
    ALTER DATABASE "{name}" SET search_path = 'a b', public;
    """
    dumped, target = dump_of("15", more), target_on("15")
    result = restore(src=dumped.src, **as_admin(target))
    assert (result.get("changed"), result["messages"]) == (True, []), result
    assert as_owner(target, "SHOW default_transaction_read_only; SHOW work_mem; SHOW search_path") == (
        'on\n7MB\n"a b", public'
    )


SUPERUSERS = """
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO reporting;
CREATE PUBLICATION everything FOR ALL TABLES; COMMENT ON PUBLICATION everything IS 'all';
CREATE PUBLICATION few FOR TABLE content; ALTER PUBLICATION few OWNER TO "{user}";
CREATE FUNCTION public.told() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER telling ON ddl_command_end EXECUTE FUNCTION told();
CREATE FOREIGN DATA WRAPPER elsewhere; CREATE SERVER far FOREIGN DATA WRAPPER elsewhere OPTIONS (a 'b');
CREATE USER MAPPING FOR PUBLIC SERVER far;
GRANT USAGE ON FOREIGN SERVER far TO "{user}";
CREATE FOREIGN TABLE public.there (a int) SERVER far; ALTER TABLE there OWNER TO "{user}";
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC; GRANT EXECUTE ON FUNCTION pg_ls_dir(text) TO reporting;
"""
MADE = """
SELECT pg_get_userbyid(defaclrole), defaclacl FROM pg_default_acl;
SELECT pubname, puballtables, CASE WHEN NOT puballtables THEN pg_get_userbyid(pubowner) = '{user}' END,
  obj_description(oid, 'pg_publication') FROM pg_publication ORDER BY 1;
SELECT pubname, count(*) FROM pg_publication_tables GROUP BY 1 ORDER BY 1;
SELECT evtname, evtenabled FROM pg_event_trigger;
SELECT s.srvname, srvoptions, usename FROM pg_user_mappings JOIN pg_foreign_server s ON s.oid = srvid;
SELECT pg_get_userbyid(relowner) = '{user}' FROM pg_class WHERE relname = 'there';
SELECT lanacl FROM pg_language WHERE lanname = 'plpgsql';
SELECT has_function_privilege('reporting', 'pg_ls_dir(text)', 'EXECUTE');
"""


@pytest.mark.parametrize("version", ["15", "18"])
def test_what_only_a_superuser_may_make_comes_over(
    dump_of: t.Any, target_on: t.Any, restore: Run, version: str
) -> None:
    dumped, target = dump_of(version, ROLE.format("reporting") + SUPERUSERS), target_on(version)
    wanted = dumped.source.server.psql(MADE.format(user=dumped.source.user), dumped.source.name)
    result = restore(src=dumped.src, **as_admin(target, privileges=True))
    assert (result.get("changed"), result["messages"]) == (True, []), result
    made = target.server.psql(MADE.format(user=target.user), target.name)
    assert made.replace(target.user, "") == wanted.replace(dumped.source.user, "")
    target = target_on(version)
    target.server.psql(f'ALTER ROLE "{target.user}" CREATEDB')
    told = restore(src=dumped.src, **login(target, privileges=True))["msg"]
    assert "only a superuser may restore these of the dump: " in told
    for what in (
        "ACL - LANGUAGE plpgsql",
        "EVENT TRIGGER - telling",
        "PUBLICATION - everything",
        "SERVER - far",
        "USER MAPPING - ",
    ):
        assert what in told
    assert "PUBLICATION - few" not in told
    assert f"'{target.user}' may not set the default privileges of these roles: postgres" in told


def test_a_subscription_comes_over_asleep_and_keeps_no_failed_restore_from_being_removed(
    dump_of: t.Any, target_on: t.Any, restore: Run
) -> None:
    more = (
        "CREATE SUBSCRIPTION heard CONNECTION 'host=nowhere.invalid dbname=x' PUBLICATION p"
        " WITH (connect = false, slot_name = 'other')"
    )
    target = target_on("15")
    dumped = dump_of("15", more, login_user=target.server.user, login_password=target.server.password)
    remove = "ALTER SUBSCRIPTION heard SET (slot_name = NONE); DROP SUBSCRIPTION heard"
    dumped.source.server.psql(remove, dumped.source.name)
    path = dumped.src / "dump.json"
    known = path.read_text()
    path.write_text(json.dumps({**json.loads(known), "large_objects": 7}))
    assert "these differ: large objects" in restore(src=dumped.src, **as_admin(target))["msg"]
    assert databases(target) == [target.name]
    path.write_text(known)
    assert restore(src=dumped.src, **as_admin(target)).get("changed")
    assert target.server.psql("SELECT subname, subenabled, subslotname FROM pg_subscription") == "heard|f|other"
    target.server.psql(remove, target.name)


MAPPED = """
CREATE FOREIGN DATA WRAPPER elsewhere; CREATE SERVER far FOREIGN DATA WRAPPER elsewhere;
CREATE USER MAPPING FOR "of mapping" SERVER far OPTIONS ("user" 'u', password 'canary');
CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (password 'canary');
"""


def test_a_role_of_a_user_mapping_is_missed_before(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    """Else pg_restore tells the whole of what it could not do, and that holds a password."""
    server = target_on("15").server
    as_superuser = {"login_user": server.user, "login_password": server.password}
    dumped, target = dump_of("15", ROLE.format('"of mapping"') + MAPPED, **as_superuser), target_on("18")
    result = restore(src=dumped.src, **as_admin(target))
    assert "canary" not in result["msg"]
    told = (
        "these roles have user mappings for foreign servers in the dump and are not on the server: of mapping. Create"
    )
    assert told in result["msg"]
    target.server.psql('CREATE ROLE "of mapping"')
    assert restore(src=dumped.src, **as_admin(target)).get("changed")
    mapped = "SELECT usename, o FROM pg_user_mappings, unnest(umoptions) o ORDER BY 1, 2"
    assert target.server.psql(mapped, target.name) == server.psql(mapped, dumped.source.name)


def test_a_role_with_a_privilege_on_a_column_or_by_default_is_missed_before(
    dump_of: t.Any, target_on: t.Any, run_module: Run
) -> None:
    roles = ("of_column", "of_default", "of_type", "of_function")
    more = (
        "".join(map(ROLE.format, roles))
        + """
    GRANT SELECT (id) ON content TO of_column; GRANT EXECUTE ON FUNCTION pg_ls_dir(text) TO of_function;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO of_default;
    CREATE DOMAIN public.short AS text; GRANT USAGE ON TYPE public.short TO of_type;
    """
    )
    dumped, target = dump_of("15", more), target_on("18")
    foreseen = run_module("postgresql_restore", check=True, src=dumped.src, **as_admin(target, privileges=True))
    assert "not on the server: of_column, of_default, of_function, of_type. Create them" in foreseen["msg"]


def test_who_may_connect_comes_over_to_a_new_database(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    more = (
        ROLE.format("guests")
        + """
    REVOKE ALL ON DATABASE "{name}" FROM PUBLIC; GRANT TEMPORARY ON DATABASE "{name}" TO PUBLIC;
    GRANT CONNECT, CREATE ON DATABASE "{name}" TO guests WITH GRANT OPTION;
    """
    )
    dumped, target = dump_of("15", more), target_on("15")
    acl = "SELECT datacl, has_database_privilege('public', oid, 'CONNECT') FROM pg_database WHERE datname = "
    target.server.drop_database(target.name)
    result = restore(src=dumped.src, **as_admin(target, privileges=True))
    assert (result.get("changed"), result["messages"]) == (True, []), result
    wanted = target.server.psql(f"{acl}'{dumped.source.name}'").replace(dumped.source.user, target.user)
    assert target.server.psql(f"{acl}'{target.name}'") == wanted
    target.server.drop_database(target.name)
    assert restore(src=dumped.src, **as_admin(target)).get("changed")
    found = target.server.psql(f"{acl}'{target.name}'")
    assert found.endswith("|f") and "guests" not in found, "another owner gets no privileges of others by default"
    target.server.drop_database(target.name)
    target.server.psql(f'GRANT "{dumped.source.user}" TO "{target.user}"')
    result = restore(src=dumped.src, **as_admin(target, owner=dumped.source.user, privileges=False))
    assert result["messages"] == ["Everybody may connect to the database, unlike in the dump"]
    assert as_owner(target, "SELECT 1") == "1", "Nuxeo itself would have been kept out"
    away = target_on("18")
    away.server.drop_database(away.name)
    assert "not on the server: guests." in restore(src=dumped.src, **as_admin(away, privileges=True))["msg"]


def test_what_a_role_has_granted_on_only_a_superuser_restores(
    dump_of: t.Any, target_on: t.Any, restore: Run, run_module: Run
) -> None:
    more = (
        ROLE.format("giver")
        + ROLE.format("taker")
        + """
    GRANT SELECT ON content TO giver WITH GRANT OPTION; SET ROLE giver; GRANT SELECT ON content TO taker; RESET ROLE;
    """
    )
    dumped, target = dump_of("15", more), target_on("15")
    target.server.psql(f'ALTER ROLE "{target.user}" CREATEDB')
    refused = run_module("postgresql_restore", check=True, src=dumped.src, **login(target, privileges=True))
    assert "only a superuser may restore what these roles have granted on: giver. " in refused["msg"]
    assert restore(src=dumped.src, **login(target, privileges=False)).get("changed")
    assert restore(src=dumped.src, **as_admin(target, privileges=True, overwrite=True)).get("changed")
    assert as_owner(target, "SELECT has_table_privilege('taker', 'content', 'SELECT')") == "t"


@pytest.mark.parametrize(("version", "membership"), [("15", ""), ("18", "INHERIT FALSE"), ("18", "SET FALSE")])
def test_a_member_that_has_not_its_rights_or_may_not_become_the_owner_is_told_before(
    dump_of: t.Any, target_on: t.Any, restore: Run, run_module: Run, version: str, membership: str
) -> None:
    """From PostgreSQL 16 on whoever makes a role is a member of it that may do neither."""
    dumped, target = dump_of("15", ""), target_on(version)
    admin = f"{target.user}_admin"
    target.server.psql(
        f"CREATE ROLE \"{admin}\" LOGIN CREATEDB {'' if membership else 'NOINHERIT'} PASSWORD 'good';"
        f'GRANT "{target.user}" TO "{admin}"' + (f" WITH {membership}" if membership else "")
    )
    options = login(target, owner=target.user, admin_user=admin, admin_password="good")
    told = run_module("postgresql_restore", check=True, src=dumped.src, **options)["msg"]
    assert f"'{admin}' may not act for its owner '{target.user}'" in told and "WITH INHERIT TRUE, SET TRUE" in told
    inherit = "WITH INHERIT TRUE, SET TRUE" if membership else ""
    target.server.psql(f'ALTER ROLE "{admin}" INHERIT; GRANT "{target.user}" TO "{admin}" {inherit}')
    assert restore(src=dumped.src, **options).get("changed")
    assert as_owner(target, "SELECT count(*) FROM content") == "2002"


def test_nuxeo_has_rights_on_what_is_restored_to_a_database_of_an_administrators(
    dump_of: t.Any, target_on: t.Any, restore: Run, run_module: Run
) -> None:
    dumped, target, place = dump_of("15"), target_on("15"), target_on("15")
    server = target.server
    for one in (target, place):
        server.psql(f'ALTER DATABASE "{one.name}" OWNER TO "{server.user}"')
    result = restore(src=dumped.src, **as_admin(target))
    assert (result.get("changed"), result["owner"]) == (True, target.user), result
    assert as_owner(target, "SELECT count(*) FROM content") == "2002"
    (told,) = result["messages"]
    assert f"which has no rights of '{server.user}', its former owner" in told
    # and where it is filled by the login itself
    refused = run_module("postgresql_restore", check=True, src=dumped.src, **login(place))
    assert f"'{place.user}' may make no tables in its schema public" in refused["msg"]
    server.psql(f'GRANT CREATE ON SCHEMA public TO "{place.user}"', place.name)
    result = restore(src=dumped.src, **login(place))
    assert (result.get("changed"), result["in_place"], result["owner"]) == (True, True, place.user), result
    assert as_owner(place, "SELECT count(*) FROM content") == "2002"
    again = login(place, owner=place.user, unchanged_since=result["fingerprint"])
    assert run_module("postgresql_restore", src=dumped.src, **again).get("changed") is False


def test_an_owner_whose_rights_nuxeo_has_not_is_told_before(dump_of: t.Any, target_on: t.Any, run_module: Run) -> None:
    target = target_on("15")
    dumped = dump_of("15", f'GRANT ALL ON ALL TABLES IN SCHEMA public TO "{target.user}"')
    options = as_admin(target, owner=dumped.source.user)
    refused = run_module("postgresql_restore", check=True, src=dumped.src, **{**options, "privileges": False})
    why = f"Nuxeo logs in as '{target.user}', which has no rights of its owner '{dumped.source.user}'"
    assert [why in problem for problem in refused["problems"]] == [True]
    assert run_module("postgresql_restore", check=True, src=dumped.src, **options).get("changed"), "it is granted some"


@pytest.mark.parametrize("how", ["is not there", "may not log in"])
def test_a_login_that_nuxeo_cannot_have_is_told_before(
    dump_of: t.Any, target_on: t.Any, run_module: Run, how: str
) -> None:
    """An administrator does the work: nothing else would try it before the server starts."""
    dumped, target = dump_of("15"), target_on("15")
    user = f"{target.user} {how}"
    if how == "may not log in":
        target.server.psql(f'CREATE ROLE "{user}"')
    for owner in ({}, {"owner": target.user}):
        options = {**as_admin(target), "login_user": user, **owner}
        refused = run_module("postgresql_restore", check=True, src=dumped.src, **options)
        why = f"Nuxeo logs in as '{user}', and the server has no role of that name that may log in"
        assert any(why in problem for problem in refused["problems"]), refused["problems"]


def test_the_schema_of_an_extension_whose_owner_has_a_blank_is_made_once(
    dump_of: t.Any, target_on: t.Any, restore: Run
) -> None:
    more = """
    CREATE ROLE "{user} app"; CREATE SCHEMA ext AUTHORIZATION "{user} app"; CREATE EXTENSION citext SCHEMA ext;
    CREATE SCHEMA "ext {user}" AUTHORIZATION "{user} app"
    """
    dumped, target = dump_of("15", more), target_on("15")
    result = restore(src=dumped.src, **as_admin(target))
    assert result.get("changed"), result
    found = target.server.psql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'ext%' ORDER BY 1", target.name)
    assert found == f"ext\next {dumped.source.user}"


def test_a_database_made_by_hand_may_have_further_extensions(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    """Where the login may make none, a provider's template has put some into it."""
    dumped, target = dump_of("15", "CREATE EXTENSION pgcrypto"), target_on("15")
    target.server.psql("CREATE EXTENSION pageinspect", target.name)
    result = restore(src=dumped.src, **login(target))
    assert result.get("changed"), result
    assert as_owner(target, "SELECT string_agg(extname, ' ' ORDER BY extname) FROM pg_extension") == (
        "pageinspect pgcrypto plpgsql"
    )


def test_where_only_temporary_was_taken_from_everybody_nobody_is_told_that_all_may_connect(
    dump_of: t.Any, target_on: t.Any, restore: Run
) -> None:
    dumped, target = dump_of("15", 'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC'), target_on("15")
    target.server.drop_database(target.name)
    target.server.psql(f'GRANT "{dumped.source.user}" TO "{target.user}"')
    result = restore(src=dumped.src, **as_admin(target, owner=dumped.source.user, privileges=False))
    assert (result.get("changed"), result["messages"]) == (True, [])
    may = "SELECT has_database_privilege('public', current_database(), '{}')"
    assert [target.server.psql(may.format(what), target.name) for what in ("CONNECT", "TEMPORARY")] == ["t", "f"]


CASTS = """
CREATE FUNCTION pg_catalog.text(integer) RETURNS text STRICT IMMUTABLE LANGUAGE SQL AS 'SELECT textin(int4out($1));';
CREATE CAST (integer AS text) WITH FUNCTION pg_catalog.text(integer) AS IMPLICIT;
COMMENT ON CAST (integer AS text) IS 'convert integer to text';
CREATE CAST (bigint AS text) WITH INOUT AS IMPLICIT;
"""


@pytest.mark.parametrize("version", ["9.6", "15", "18"])
def test_casts_that_old_versions_of_nuxeo_want_come_over(
    dump_of: t.Any, target_on: t.Any, restore: Run, run_module: Run, version: str
) -> None:
    """No dump has the functions that they call."""
    dumped, target = dump_of(version, CASTS), target_on(version)
    refused = run_module("postgresql_restore", check=True, src=dumped.src, **login(target))
    told = "only a superuser may restore these of the dump: CAST (bigint AS text), CAST (integer AS text)."
    assert told in refused["msg"]
    by_hand = target_on(version)
    by_hand.server.psql(CASTS, by_hand.name)
    used = "SELECT count(*) FROM content WHERE length = '7'::varchar OR length::int = '8'::varchar"
    for database, way in ((target, as_admin), (by_hand, login)):
        result = restore(src=dumped.src, **way(database))
        assert result.get("changed"), result
        assert as_owner(database, used) == "2"


UNTRUSTED = """
CREATE FUNCTION public.measured("some text" text) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'textlen';
COMMENT ON FUNCTION public.measured(text) IS 'of C';
CREATE FUNCTION public.twice(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT public.measured($1) * 2';
CREATE AGGREGATE public.together(int) (SFUNC = int4pl, STYPE = int);
CREATE INDEX content_measured ON content (public.measured(name));
GRANT EXECUTE ON FUNCTION public.measured(text) TO "{user}";
"""


@pytest.mark.parametrize("version", ["9.6", "15", "18"])
def test_functions_of_languages_that_only_superusers_use_come_over(
    dump_of: t.Any, target_on: t.Any, restore: Run, run_module: Run, version: str
) -> None:
    dumped, target = dump_of(version, UNTRUSTED), target_on(version)
    refused = run_module("postgresql_restore", check=True, src=dumped.src, **login(target))
    assert "only a superuser may restore these of the dump: FUNCTION public measured(text) postgres. " in refused["msg"]
    result = restore(src=dumped.src, **as_admin(target, privileges=True))
    assert result.get("changed"), result
    asked = "SELECT proname, obj_description(oid, 'pg_proc') FROM pg_proc WHERE proowner = '{}'::regrole ORDER BY 1"
    made = target.server.psql(asked.format(target.user), target.name)
    assert made == "measured|of C\nnx_one|\ntogether|\ntwice|"
    assert as_owner(target, "SELECT twice('four'), count(*) FROM content WHERE measured(name) = 5") == "8|9"


OPERATORS = """
CREATE SCHEMA nx AUTHORIZATION "{user}";
CREATE OPERATOR CLASS nx._uuid_ops DEFAULT FOR TYPE _uuid USING gin AS
  OPERATOR 1 &&(anyarray, anyarray), OPERATOR 2 @>(anyarray, anyarray), OPERATOR 3 <@(anyarray, anyarray),
  OPERATOR 4 =(anyarray, anyarray), FUNCTION 1 uuid_cmp(uuid, uuid),
  FUNCTION 2 ginarrayextract(anyarray, internal, internal),
  FUNCTION 3 ginqueryarrayextract(anyarray, internal, smallint, internal, internal, internal, internal),
  FUNCTION 4 ginarrayconsistent(internal, smallint, anyarray, integer, internal, internal, internal, internal),
  STORAGE uuid;
CREATE TABLE ancestors (ancestors uuid[]); ALTER TABLE ancestors OWNER TO "{user}";
CREATE INDEX ancestors_ancestors_idx ON ancestors USING gin (ancestors nx._uuid_ops);
"""


@pytest.mark.parametrize("version", ["9.6", "15"])
def test_operators_that_nuxeo_wants_for_ids_of_type_uuid_come_over(
    dump_of: t.Any, target_on: t.Any, restore: Run, run_module: Run, version: str
) -> None:
    dumped, target = dump_of(version, OPERATORS), target_on(version)
    refused = run_module("postgresql_restore", check=True, src=dumped.src, **login(target))
    assert "only a superuser may restore these of the dump: OPERATOR CLASS nx _uuid_ops " in refused["msg"]
    result = restore(src=dumped.src, **as_admin(target))
    assert result.get("changed"), result
    asked = "SELECT indexdef FROM pg_indexes WHERE indexname = 'ancestors_ancestors_idx'"
    assert as_owner(target, asked) == as_owner(dumped.source, asked)
    assert as_owner(target, "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'nx'") == target.user


FULL_TEXT = """
CREATE EXTENSION unaccent; SET ROLE "{user}"; CREATE TEXT SEARCH CONFIGURATION fr (COPY = french);
ALTER TEXT SEARCH CONFIGURATION fr ALTER MAPPING FOR asciihword, asciiword, hword, word WITH unaccent, french_stem;
CREATE TABLE fulltext (id text, fulltext text);
INSERT INTO fulltext SELECT i, 'mots ' || i FROM generate_series(1, 50) i;
CREATE FUNCTION nx_to_tsvector(string varchar) RETURNS tsvector LANGUAGE sql STABLE
  AS $f$ SELECT TO_TSVECTOR('fr', SUBSTR($1, 1, 250000)) $f$;
CREATE INDEX fulltext_fulltext_idx ON fulltext USING gin (nx_to_tsvector(fulltext)); RESET ROLE;
"""


@pytest.mark.parametrize("way", [as_admin, login])
def test_full_text_by_a_configuration_of_ones_own_is_indexed(
    dump_of: t.Any, target_on: t.Any, restore: Run, way: t.Callable[..., t.Any]
) -> None:
    """The function that Nuxeo makes for its index names the configuration without a schema."""
    dumped, target = dump_of("15", FULL_TEXT), target_on("15")
    result = restore(src=dumped.src, **way(target))
    assert result.get("changed"), result
    asked = "SELECT indexdef, tableowner FROM pg_indexes JOIN pg_tables USING (tablename) WHERE tablename = 'fulltext'"
    wanted = as_owner(dumped.source, asked).replace(dumped.source.user, target.user)
    assert as_owner(target, asked) == wanted
    newer = target_on("18")
    result = restore(src=dumped.src, **as_admin(newer))
    assert 'text search configuration "fr" does not exist' in result["msg"]
    assert "from PostgreSQL 17 on " in result["msg"]
    assert databases(newer) == [newer.name]


def test_who_may_use_the_schema_public_is_not_left_out_in_silence(
    dump_of: t.Any, target_on: t.Any, restore: Run, run_module: Run
) -> None:
    """Up to PostgreSQL 14 it belongs to the superuser, and a server only warns whoever else grants or revokes."""
    more = ROLE.format("readers") + "REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO readers;"
    more += 'GRANT ALL ON SCHEMA public TO "{user}"'
    dumped, target = dump_of("14", more), target_on("14")
    refused = run_module("postgresql_restore", check=True, src=dumped.src, **login(target, privileges=True))
    assert "only a superuser may restore these of the dump: ACL - SCHEMA public. " in refused["msg"]
    assert "restore_database_privileges=false" in refused["msg"]
    assert restore(src=dumped.src, **as_admin(target, privileges=True)).get("changed")
    assert as_owner(target, "SELECT has_schema_privilege('public', 'public', 'USAGE')") == "f"
    plain, target = dump_of("14"), target_on("14")
    assert restore(src=plain.src, **login(target, privileges=True)).get("changed")
