# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a module finds the engine."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._search.errors import SearchError
from ansible_collections.nuxeo.platform.plugins.module_utils._search.options import SEARCH, addresses, connection

GIVEN: dict[str, t.Any] = {name: option.get("default") for name, option in SEARCH.items()}
OLD = {
    "elasticsearch.addressList": "http://a:9200,https://b:9200",
    "elasticsearch.restClient.username": "u",
    "elasticsearch.restClient.password": "canary",
}


def test_names_up_to_2023() -> None:
    found = connection({**GIVEN, "nuxeo_conf": "/c"}, OLD)
    assert (found.urls, found.username, found.password) == (("http://a:9200", "https://b:9200"), "u", "canary")
    assert "canary" not in repr(found) and "canary" not in str(found)


def test_names_of_2025_come_first() -> None:
    new = {"nuxeo.opensearch1.client.server": "http://n:9200", "nuxeo.opensearch1.client.username": "v", **OLD}
    found = connection({**GIVEN, "nuxeo_conf": "/c"}, new)
    assert (found.urls, found.username) == (("http://n:9200",), "v")
    audit = {"nuxeo.audit.backend.default.opensearch1.client.server": "http://audit:9200", **new}
    assert connection({**GIVEN, "nuxeo_conf": "/c"}, audit).urls == ("http://audit:9200",)


def test_options_win() -> None:
    found = connection({**GIVEN, "url": ["http://x"], "url_username": "me", "url_password": "p"}, OLD)
    assert (found.urls, found.username, found.password) == (("http://x",), "me", "p")
    by_key = connection({**GIVEN, "url": ["http://x"], "url_api_key": "k"}, OLD)
    assert (by_key.username, by_key.password, by_key.api_key) == ("", "", "k")


def test_a_bare_address_means_http() -> None:
    assert addresses("a:9200,b:9200", "RestClient", "/c") == ["http://a:9200", "http://b:9200"]


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
