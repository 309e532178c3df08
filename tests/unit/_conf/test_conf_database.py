# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database, read from the JDBC URL first."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.database import URL, database, sql_database
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.errors import ConfError
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.facts import facts
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.guard import armed
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.login import database_login
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.preview import facts_with, without_effect
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.resolve import Configuration, resolve

Resolve = t.Callable[..., Configuration]


def write_home(home: Path, conf: str, template: str = "") -> Path:
    for name, content in (
        ("bin/nuxeo.conf", conf),
        ("templates/nuxeo.defaults", "nuxeo.data.dir=nxserver/data\nnuxeo.templates=default\nnuxeo.mongodb.server=\n"),
        ("templates/default/nuxeo.defaults", template),
    ):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return home / "bin/nuxeo.conf"


@pytest.fixture
def configuration(tmp_path: Path) -> Resolve:
    def make(conf: str, version: str = "2023", template: str = "") -> Configuration:
        return resolve(str(write_home(tmp_path / "home", conf, template)), str(tmp_path / "home"), {}, version)

    return make


LOGIN = "nuxeo.db.user=u\nnuxeo.db.password=pw\nnuxeo.db.name=property\n"
PLACES = [
    ("jdbc:postgresql://h:5433/n", "postgresql", "h", 5433, "n"),
    ("jdbc:postgresql://h/n", "postgresql", "h", 5432, "n"),
    ("jdbc:postgresql://[::1]:5433/n", "postgresql", "::1", 5433, "n"),
    ("jdbc:postgresql://h1:1,h2:2/n?targetServerType=primary", "postgresql", "h1,h2", "1,2", "n"),
    ("jdbc:postgresql://h1:1,h2/n", "postgresql", "h1,h2", "1,5432", "n"),
    ("jdbc:postgresql://h1,[::1]:5432/n", "postgresql", "h1,::1", 5432, "n"),
    ("jdbc:postgresql://::1:5433/n", "postgresql", "::1", 5433, "n"),  # its driver cuts at the last colon
    ("jdbc:postgresql://fd00::5:5432,h2:1/n", "postgresql", "fd00::5,h2", "5432,1", "n"),
    ("jdbc:postgresql:n", "postgresql", "localhost", 5432, "n"),
    ("jdbc:postgresql:///n", "postgresql", "localhost", 5432, "n"),
    ("jdbc:postgresql://h:5433/", "postgresql", "h", 5433, "u"),  # so its driver: as the user is called
    ("jdbc:postgresql:/", "postgresql", "localhost", 5432, "u"),
    ("jdbc:mysql://h/", "mysql", "h", 3306, "property"),
    ("jdbc:aws-wrapper:postgresql://h:5433/n", "postgresql", "h", 5433, "n"),
    ("jdbc:mariadb:replication://h1:1,h2/n", "mariadb", "h1", 1, "n"),
    ("jdbc:postgresql://h/a%20b", "postgresql", "h", 5432, "a b"),
    ("jdbc:mysql://h:3307/n?relaxAutoCommit=true", "mysql", "h", 3307, "n"),
    ("jdbc:mariadb://h/n", "mariadb", "h", 3306, "n"),
    ("jdbc:sqlserver://h:1434;database=n;selectMethod=cursor", "mssql", "h", 1434, "n"),
    ("jdbc:sqlserver://h\\inst;databaseName={n;m}", "mssql", "h", 1433, "n;m"),
    ("jdbc:sqlserver://;serverName=h;portNumber=1;databaseName=n", "mssql", "h", 1, "n"),
    ("jdbc:oracle:thin:u/pw@h:1522:SID", "oracle", "h", 1522, "SID"),
    ("jdbc:oracle:thin:@//h:1522/service", "oracle", "h", 1522, "service"),
    ("jdbc:oracle:thin:@h:1522/service", "oracle", "h", 1522, "service"),
    (
        "jdbc:oracle:thin:@(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=h)(PORT=7))(CONNECT_DATA=(SERVICE_NAME=s)))",
        "oracle",
        "h",
        7,
        "s",
    ),
    ("jdbc:db2://h:3700/n", "db2", "h", 3700, "n"),
    ("jdbc:db2://h/n:currentSchema=X;", "db2", "h", 50000, "n"),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place[0])
def test_place(configuration: Resolve, place: tuple[str, str, str, int | str, str]) -> None:
    url, kind, host, port, name = place
    # the other properties say something else: they may be those of a template
    lines = f"nuxeo.db.host=other\nnuxeo.db.port=9\nnuxeo.db.jdbc.url={url}\n"
    found = configuration(LOGIN + lines.replace("\\", "\\\\"))
    shown = database(found).shown()
    assert shown == {"kind": kind, "host": host, "port": port, "name": name, "user": "u"}
    assert database(found).password == "pw"


@pytest.mark.parametrize(
    ("url", "user", "password"),
    [
        ("jdbc:postgresql://h/n?user=x&password=a%26b", "x", "a&b"),
        ("jdbc:mysql://x:y@h/n", "x", "y"),
        ("jdbc:mysql://x:y@z@h/n", "x", "y@z"),
        ("jdbc:sqlserver://h;user=x;password={y;z}", "x", "y;z"),
        ("jdbc:oracle:thin:x/y@h:1:s", "x", "y"),
        ("jdbc:db2://h/n:user=x;password=y;", "x", "y"),
        ("jdbc:h2:/d/n;USER=x;PASSWORD=y", "x", "y"),
    ],
)
def test_login_in_the_url(configuration: Resolve, url: str, user: str, password: str) -> None:
    found = database(configuration(f"nuxeo.db.jdbc.url={url}\n"))
    assert (found.user, found.password) == (user, password)
    assert not {"password", "url"} & set(found.shown())
    assert "password" not in repr(found)


@pytest.mark.parametrize("host", ["address=(host=h)(password=canary)", "(password=canary,host=h)"])
def test_a_login_in_place_of_a_host_is_not_shown(configuration: Resolve, host: str) -> None:
    """As MySQL and MariaDB take it."""
    found = database(configuration(f"nuxeo.db.jdbc.url=jdbc:mysql://{host}/n\n")).shown()
    assert (found["kind"], found["host"], found["name"]) == ("mysql", None, "n")
    assert "canary" not in str(found)


@pytest.mark.parametrize("version", ["8.10", "9.10", "10.10", "2021", "2023", "2025"])
@pytest.mark.parametrize(
    ("lines", "host", "port", "name"),
    [
        ("nuxeo.db.xaMode=true\nnuxeo.db.type=postgresql\n", "h", 5433, "property"),
        ("nuxeo.db.xaMode=false\nnuxeo.db.type=postgresql\n", "of-the-url", 5434, "n"),
        ("nuxeo.db.type=postgresql\n", "of-the-url", 5434, "n"),
        ("nuxeo.db.xaMode=true\n", "of-the-url", 5434, "n"),
    ],
)
def test_a_data_source_of_postgresql_for_xa_leaves_out_the_url(
    configuration: Resolve, version: str, lines: str, host: str, port: int, name: str
) -> None:
    """As the templates of all lines write it: a backup by the URL would be one of another database."""
    url = "nuxeo.db.jdbc.url=jdbc:postgresql://of-the-url:5434/n?user=x&password=y\n"
    found = database(configuration(f"{LOGIN}nuxeo.db.host=h\nnuxeo.db.port=5433\n{url}{lines}", version))
    user = ("u", "pw") if host == "h" else ("x", "y")
    assert (found.kind, found.host, found.port, found.name) == ("postgresql", host, port, name)
    assert (found.user, found.password, bool(found.url)) == (*user, host != "h")


@pytest.mark.parametrize("version", ["8.10", "9.10", "10.10", "2021", "2023", "2025"])
def test_h2(configuration: Resolve, tmp_path: Path, version: str) -> None:
    url = "nuxeo.db.jdbc.url=jdbc:h2:$${nuxeo.data.dir}/h2/${nuxeo.db.name};DB_CLOSE_ON_EXIT=false;MODE=LEGACY\n"
    found = configuration("nuxeo.db.name=docs\nnuxeo.db.user=sa\n", version, url)
    path = str(tmp_path / "home/nxserver/data/h2/docs")
    assert database(found).shown() == {
        "kind": "h2",
        "host": None,
        "port": None,
        "name": "docs",
        "user": "sa",
        "path": path,
    }


@pytest.mark.parametrize(
    ("url", "path", "name"),
    [
        ("jdbc:h2:file:/x/y;MODE=LEGACY", "/x/y", "y"),
        ("jdbc:h2:x/y", "<home>/x/y", "y"),
        ("jdbc:h2:mem:y", "mem:y", "y"),
        ("jdbc:h2:/x/y;MODE=LEGACY;mv_store=False", "/x/y.h2.db", "y"),
        ("jdbc:h2:x/y;MV_STORE=0", "<home>/x/y.h2.db", "y"),
        ("jdbc:h2:/x/y;MV_STORE=TRUE", "/x/y", "y"),
        ("jdbc:h2:mem:y;MV_STORE=FALSE", "mem:y", "y"),
    ],
)
def test_h2_elsewhere(configuration: Resolve, tmp_path: Path, url: str, path: str, name: str) -> None:
    found = database(configuration(LOGIN + f"nuxeo.db.jdbc.url={url}\n"))
    assert (found.path, found.name) == (path.replace("<home>", str(tmp_path / "home")), name)


@pytest.mark.parametrize("host", ["fd00::5", "[fd00::5]"])
@pytest.mark.parametrize("xa", [True, False])
def test_an_ipv6_address_as_host(tmp_path: Path, host: str, xa: bool) -> None:
    """With brackets libpq would take it for a name."""
    template = (
        "nuxeo.db.type=postgresql\nnuxeo.db.host=h\nnuxeo.db.port=5433\nnuxeo.db.name=n\nnuxeo.db.user=u\n"
        f"{URL}=jdbc:postgresql://${{nuxeo.db.host}}:${{nuxeo.db.port}}/${{nuxeo.db.name}}\n"
    )
    conf = write_home(tmp_path / "home", "nuxeo.db.xaMode=true\n" * xa, template)
    wanted = {"nuxeo.db.host": host}
    found = facts_with(wanted, str(conf), str(tmp_path / "home"), {}, "2023")
    assert (found["database"]["host"], found["database"]["port"]) == ("fd00::5", 5433)
    assert without_effect(wanted, found) == []


MONGODB = [
    ("fd00::5", "fd00::5", 27017, None),
    ("[fd00::5]:1", "fd00::5", 1, None),
    ("h:27018", "h", 27018, None),
    ("h", "h", 27017, None),
    ("mongodb://u:p%40w@h1:1,h2:2/x?replicaSet=rs", "h1", 1, "u"),
    ("mongodb+srv://u:pw@cluster.example.com/x", "cluster.example.com", None, "u"),
]


@pytest.mark.parametrize(("server", "host", "port", "user"), MONGODB)
def test_mongodb(configuration: Resolve, server: str, host: str, port: int | None, user: str | None) -> None:
    url = "nuxeo.db.jdbc.url=jdbc:h2:$${nuxeo.data.dir}/h2/x\n"
    found = configuration(f"nuxeo.mongodb.server={server}\nnuxeo.mongodb.dbname=docs\n", template=url)
    assert database(found).shown() == {"kind": "mongodb", "host": host, "port": port, "name": "docs", "user": user}
    assert sql_database(found).kind == "h2"


def test_an_open_reference_is_named(configuration: Resolve) -> None:
    found = configuration("a=1\nnuxeo.db.jdbc.url=jdbc:postgresql://${nuxeo.db.hots}:5432/n\n")
    with pytest.raises(
        ConfError, match=r"'nuxeo\.db\.jdbc\.url' at .*nuxeo\.conf:2: the reference \$\{nuxeo\.db\.hots\}"
    ):
        database(found)


@pytest.mark.parametrize(
    ("version", "line", "told"),
    [
        ("2023", "nuxeo.db.password=${no.such}", "${no.such}"),
        ("2023", "nuxeo.db.jdbc.url=jdbc:postgresql://h/n?user=${no.such", "${no.such}"),
        ("8.10", "nuxeo.db.jdbc.url=jdbc:postgresql://h/n?password=${env:PW:canary}", "${env:PW}"),
    ],
)
def test_what_stays_open_is_not_used_and_not_shown(configuration: Resolve, version: str, line: str, told: str) -> None:
    """What stands behind its name may be a secret."""
    found = configuration(f"nuxeo.db.jdbc.url=jdbc:postgresql://h/n\n{line}\n", version)
    with pytest.raises(ConfError) as error:
        database(found)
    assert f"the reference {told} stays open" in str(error.value)
    assert "canary" not in str(error.value)


def test_a_password_may_look_like_a_broken_reference(configuration: Resolve) -> None:
    found = configuration("nuxeo.db.password=a${b\nnuxeo.db.jdbc.url=jdbc:postgresql://h/n\n")
    assert database(found).password == "a${b"


def test_login(tmp_path: Path) -> None:
    conf = write_home(tmp_path / "home", LOGIN + "nuxeo.db.jdbc.url=jdbc:postgresql://h:1/n\n")
    login = database_login(str(conf), str(tmp_path / "home"), {}, "2023")
    assert (login.kind, login.host, login.port, login.name, login.user, login.password) == (
        "postgresql",
        "h",
        1,
        "n",
        "u",
        "pw",
    )
    assert "pw" not in repr(login)


def test_no_database_is_no_login(tmp_path: Path) -> None:
    for lines, why in (("", "no JDBC URL is set"), (f"{URL}=jdbc:foo:bar\n", "the kind of database .* is not known")):
        conf = write_home(tmp_path / "home", lines)
        with pytest.raises(ConfError, match=why):
            database_login(str(conf), str(tmp_path / "home"), {}, "2023")


@pytest.mark.parametrize(
    ("url", "properties", "lost"),
    [
        ("", {"name": "copy", "host": "db2", "port": "5433", "user": "other"}, []),
        ("jdbc:postgresql://db1/nuxeo", {"name": "copy", "user": "other"}, ["name"]),
        ("jdbc:postgresql://db1/nuxeo", {"name": "nuxeo", "port": 5432}, []),
        ("jdbc:postgresql://db1/nuxeo?user=me", {"host": "db2", "port": "5433"}, ["host", "port"]),
        ("jdbc:postgresql://db1/nuxeo?user=me", {"user": "other"}, ["user"]),
        ("jdbc:postgresql://${nuxeo.db.host}/${nuxeo.db.name}", {"host": "db2:5433,[::1]:5433", "name": "copy"}, []),
    ],
)
def test_a_url_of_its_own_leaves_properties_without_effect(
    tmp_path: Path, url: str, properties: dict[str, str], lost: list[str]
) -> None:
    """A restore would go elsewhere than where it was told to go."""
    template = (
        "nuxeo.db.host=h\nnuxeo.db.port=5432\nnuxeo.db.name=n\nnuxeo.db.user=u\n"
        "nuxeo.db.jdbc.url=jdbc:postgresql://${nuxeo.db.host}:${nuxeo.db.port}/${nuxeo.db.name}\n"
    )
    conf = write_home(tmp_path / "home", f"nuxeo.db.jdbc.url={url}\n" if url else "", template)
    wanted = {f"nuxeo.db.{key}": value for key, value in properties.items()}
    found = without_effect(wanted, facts_with(wanted, str(conf), str(tmp_path / "home"), {}, "2023"))
    assert [problem.partition("=")[0] for problem in found] == [f"nuxeo.db.{key}" for key in lost]


@pytest.mark.parametrize("guarded", [True, False])
def test_what_nuxeo_conf_does_not_have_yet_is_named(tmp_path: Path, guarded: bool) -> None:
    conf = write_home(tmp_path / "home", "nuxeo.url=http://one/\n#nuxeo.db.name=n\n", "nuxeo.db.name=n\n")
    if guarded:
        conf.write_bytes(armed(conf.read_bytes(), "20261123T020004Z", "r1"))
    wanted = {"nuxeo.url": "http://one/", "nuxeo.db.name": "n", "org.nuxeo.dev": "true"}
    found = facts_with(wanted, str(conf), str(tmp_path / "home"), {}, "2023")
    assert (found["unset"], found["guarded"]) == (["nuxeo.db.name", "org.nuxeo.dev"], guarded)


@pytest.mark.parametrize("xa", [True, False])
def test_an_xa_data_source_leaves_a_url_without_effect(tmp_path: Path, xa: bool) -> None:
    template = f"nuxeo.db.type=postgresql\nnuxeo.db.host=h\nnuxeo.db.name=n\n{URL}=jdbc:postgresql://h/n\n"
    conf = write_home(tmp_path / "home", "nuxeo.db.xaMode=true\n" * xa, template)
    wanted = {URL: "jdbc:postgresql://h2/copy"}
    found = facts_with(wanted, str(conf), str(tmp_path / "home"), {}, "2023")
    assert found["database"]["host"] == ("h" if xa else "h2")
    assert [problem.partition(" ")[0] for problem in without_effect(wanted, found)] == [URL] * xa


@pytest.mark.parametrize(
    ("conf", "wanted", "kind", "url"),
    [
        ("", {"nuxeo.templates": "postgresql"}, "postgresql", "jdbc:postgresql://db1/n"),
        ("nuxeo.templates=postgresql\n", {URL: "jdbc:postgresql://db2/n"}, "postgresql", "jdbc:postgresql://db2/n"),
        ("nuxeo.templates=postgresql\n", {}, "postgresql", "jdbc:postgresql://db1/n"),
        ("", {}, "h2", "jdbc:h2:/h2/n"),
    ],
)
def test_the_login_is_what_it_will_be(tmp_path: Path, conf: str, wanted: dict[str, str], kind: str, url: str) -> None:
    """A database is restored before nuxeo.conf is changed."""
    home = tmp_path / "home"
    path = write_home(home, conf, f"{URL}=jdbc:h2:/h2/n\n")
    (home / "templates/postgresql").mkdir()
    (home / "templates/postgresql/nuxeo.defaults").write_text(f"{URL}=jdbc:postgresql://db1/n\n", encoding="utf-8")
    found = database_login(str(path), str(home), {}, "2023", properties=wanted)
    assert (found.kind, found.url, path.read_text(encoding="utf-8")) == (kind, url, conf)


@pytest.mark.parametrize(
    ("conf", "version", "heeded"),
    [
        ("nuxeo.force.generation=true\n", "2023", True),
        ("nuxeo.force.generation=once\n", "9.10", True),
        ("nuxeo.force.generation=TRUE\n", "10.10", True),
        ("nuxeo.force.generation=TRUE\n", "2021", False),
        ("nuxeo.force.generation=false\n", "8.10", False),
        ("", "2025", False),
    ],
)
def test_what_a_server_would_not_read_is_refused(tmp_path: Path, conf: str, version: str, heeded: bool) -> None:
    """It goes on with what it has generated: the clone would be on the source's database."""
    home = tmp_path / "home"
    path = write_home(home, f"{conf}nuxeo.db.name=nuxeo\norg.nuxeo.ecm.contextPath=/dms\n")

    def told(**properties: str) -> list[str]:
        wanted = {f"nuxeo.{name.replace('_', '.')}": value for name, value in properties.items()}
        return without_effect({}, facts_with(wanted, str(path), str(home), {}, version))

    assert told(db_name="copy") == []  # nothing has been generated yet
    (home / "conf/Catalina/localhost").mkdir(parents=True)
    (home / "conf/Catalina/localhost/dms.xml").touch()
    assert told(db_name="nuxeo") == []
    assert told(db_name="copy", force_generation="once") == []
    unread = f"Change of '{path}': nuxeo.force.generation is not true"
    assert [problem.startswith(unread) for problem in told(db_name="copy")] == ([] if heeded else [True])


@pytest.mark.parametrize(
    ("dump", "lost"),
    [
        ("nuxeo.db.name=nuxeo\nnuxeo.db.jdbc.url=jdbc\\:postgresql\\://h/${nuxeo.db.name}\nother=1\n", ""),
        ("nuxeo.db.name=nuxeo\nnuxeo.db.jdbc.url=jdbc\\:h2\\:/h2/nuxeo\n", "nuxeo.db.jdbc.url"),
        ("nuxeo.db.name={$AES$c2VjcmV0}\nnuxeo.db.jdbc.url=jdbc\\:postgresql\\://h/${nuxeo.db.name}\n", ""),
        (None, ""),  # nobody knows
    ],
)
def test_a_server_that_would_not_read_a_nuxeo_conf_put_back_is_refused(
    tmp_path: Path, dump: str | None, lost: str
) -> None:
    """It has been started once with the stock configuration, so it would go on with an empty H2."""
    home = tmp_path / "home"
    path = write_home(home, "nuxeo.db.name=nuxeo\nnuxeo.db.jdbc.url=jdbc:postgresql://h/${nuxeo.db.name}\n")
    for file, text in (("conf/Catalina/localhost/nuxeo.xml", ""), ("nxserver/config/configuration.properties", dump)):
        (home / file).parent.mkdir(parents=True)
        if text is not None:
            (home / file).write_text(text, encoding="utf-8")
    found = without_effect({}, facts_with({}, str(path), str(home), {}, "2023"))
    assert [problem.partition("not see ")[2].partition(". ")[0] for problem in found] == [lost] * bool(lost)
    assert facts(resolve(str(path), str(home), {}, "2023"))["unread"] == [lost] * bool(lost)
    with path.open("a", encoding="utf-8") as stream:
        stream.write("nuxeo.force.generation=once\n")
    assert without_effect({}, facts_with({}, str(path), str(home), {}, "2023")) == []
