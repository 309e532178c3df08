# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a module finds the engine."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.version import LINES, Line
from ansible_collections.nuxeo.platform.plugins.module_utils._search.errors import SearchError
from ansible_collections.nuxeo.platform.plugins.module_utils._search.options import SEARCH, addresses, connection

GIVEN: dict[str, t.Any] = {name: option.get("default") for name, option in SEARCH.items()}


class Conf(t.Dict[str, str]):
    """A resolved nuxeo.conf."""

    def __init__(self, version: str, **values: str) -> None:
        super().__init__(values)
        self.line: Line = LINES[version]


OLD = {
    "elasticsearch.addressList": "http://a:9200,https://b:9200",
    "elasticsearch.restClient.username": "u",
    "elasticsearch.restClient.password": "canary",
}
AUDIT = "nuxeo.audit.backend.default"
IN_ES9 = {
    f"{AUDIT}.factory": "org.nuxeo.audit.elasticsearch9.ElasticsearchAuditBackendFactory",
    f"{AUDIT}.elasticsearch9.index.name": "nuxeo-audit",
    f"{AUDIT}.elasticsearch9.client.server": "http://es9:9200",
    f"{AUDIT}.elasticsearch9.client.username": "",
    f"{AUDIT}.elasticsearch9.client.password": "",
}
IN_OS1 = {
    f"{AUDIT}.opensearch1.index.name": "nuxeo-audit",
    f"{AUDIT}.opensearch1.client.server": "http://os1:9200",
    "nuxeo.search.client.default.opensearch1.client.server": "http://os1:9200",
    "nuxeo.search.client.default.opensearch1.client.username": "v",
    "nuxeo.search.client.default.opensearch1.client.password": "canary",
}


def reached(version: str, values: dict[str, str], documents: bool = False) -> tuple[tuple[str, ...], str, str]:
    found = connection({**GIVEN, "nuxeo_conf": "/c"}, Conf(version, **values), documents)
    return found.urls, found.username, found.password


def test_names_up_to_2023() -> None:
    found = connection({**GIVEN, "nuxeo_conf": "/c"}, Conf("2021", **OLD))
    assert (found.urls, found.username, found.password) == (("http://a:9200", "https://b:9200"), "u", "canary")
    assert "canary" not in repr(found) and "canary" not in str(found)
    assert reached("2023", {**OLD, **IN_OS1, "nuxeo.opensearch1.client.server": "http://n:9200"})[:2] == (
        ("http://a:9200", "https://b:9200"),
        "u",
    )


def test_names_of_2025_come_first() -> None:
    new = {"nuxeo.opensearch1.client.server": "http://n:9200", "nuxeo.opensearch1.client.username": "v", **OLD}
    assert reached("2025", new)[:2] == (("http://n:9200",), "v")
    assert reached("2025", OLD) == (("http://a:9200", "https://b:9200"), "u", "canary")


def test_the_audit_of_2025_is_looked_for_where_it_is_and_no_login_goes_elsewhere() -> None:
    assert reached("2025", {**OLD, **IN_OS1, **IN_ES9}) == (("http://es9:9200",), "", "")
    moved_back = {**IN_ES9, f"{AUDIT}.factory": "org.nuxeo.audit.opensearch1.OpenSearchAuditBackendFactory"}
    assert reached("2025", {**IN_OS1, **moved_back})[0] == ("http://os1:9200",)


def test_documents_of_2025_are_looked_for_where_they_are() -> None:
    both = {"nuxeo.search.client.default.elasticsearch9.client.server": "http://new:9200", **IN_OS1, **IN_ES9}
    both["nuxeo.search.client.default.opensearch1.index.name"] = "nuxeo"
    assert reached("2025", both, documents=True) == (("http://os1:9200",), "v", "canary")
    assert reached("2025", {**OLD, **IN_ES9}, documents=True)[0] == ("http://a:9200", "https://b:9200")
    assert reached("2021", OLD, documents=True) == reached("2021", OLD)


def test_sequences_of_2025_with_a_client_of_their_own() -> None:
    own = {
        f"{AUDIT}.factory": "org.nuxeo.audit.sql.SQLAuditBackendFactory",
        "nuxeo.uidsequencer.default.class": "org.nuxeo.uidgen.opensearch1.OpenSearchUIDSequencer",
        "nuxeo.uidsequencer.default.opensearch1.index.name": "nuxeo-uidgen",
        "nuxeo.uidsequencer.default.opensearch1.client.server": "http://numbers:9200",
        "nuxeo.opensearch1.client.username": "w",
        "nuxeo.opensearch1.client.password": "canary",
    }
    assert reached("2025", own) == (("http://numbers:9200",), "w", "canary")


def test_options_win() -> None:
    found = connection({**GIVEN, "url": ["http://x"], "url_username": "me", "url_password": "p"}, Conf("2023", **OLD))
    assert (found.urls, found.username, found.password) == (("http://x",), "me", "p")
    by_key = connection({**GIVEN, "url": ["http://x"], "url_api_key": "k"}, Conf("2023", **OLD))
    assert (by_key.username, by_key.password, by_key.api_key) == ("", "", "k")


def test_no_login_goes_to_another_engine_that_a_restore_will_set(tmp_path: Path) -> None:
    (tmp_path / "templates/default").mkdir(parents=True)
    for name in ("templates/nuxeo.defaults", "templates/default/nuxeo.defaults"):
        (tmp_path / name).touch()
    lines = [f"{name}={value}\n" for name, value in {**OLD, **IN_OS1}.items()]
    (tmp_path / "nuxeo.conf").write_text("".join(lines), encoding="utf-8")
    named = {"nuxeo_conf": str(tmp_path / "nuxeo.conf"), "nuxeo_home": str(tmp_path), "nuxeo_version": "2025.1"}
    given = {**GIVEN, **named, "nuxeo_environment": {}, "url": ["http://es9:9200"]}
    moved = {name: value for name, value in IN_ES9.items() if not name.endswith("password")}
    assert connection(given | {"nuxeo_properties": None}).username == "v"
    assert connection(given | {"nuxeo_properties": moved}).username == "", "without a user there is no login"


def test_a_bare_address_means_http() -> None:
    assert addresses("a:9200,b:9200", "RestClient", "/c") == ["http://a:9200", "http://b:9200"]


@pytest.mark.parametrize("listed", ["http://me:x,canary@a:9200", "me:can/ary@a:9300"])
def test_a_login_among_the_addresses_is_not_told(listed: str) -> None:
    with pytest.raises(SearchError, match="holds a user or a password") as error:
        addresses(listed, "", "/c")
    assert not re.search("can|ary|me:", str(error.value))


@pytest.mark.parametrize(
    ("listed", "client", "why"),
    [
        ("", "RestClient", "it is embedded in Nuxeo"),
        ("a:9300", "", "transport client"),
        ("a:9200", "TransportClient", "transport client"),
    ],
)
def test_addresses_that_are_none(listed: str, client: str, why: str) -> None:
    with pytest.raises(SearchError, match=why):
        addresses(listed, client, "/c")
