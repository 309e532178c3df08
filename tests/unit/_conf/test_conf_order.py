# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies over what when a configuration is put together, beyond what launcher_answers.json was asked."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.resolve import Configuration, resolve

Resolve = t.Callable[..., Configuration]


@pytest.fixture
def made(tmp_path: Path) -> Resolve:
    def make(version: str, conf: str, environment: dict[str, str] | None = None, **templates: str) -> Configuration:
        home = tmp_path / "home"
        files = {"bin/nuxeo.conf": conf, "templates/nuxeo.defaults": templates.pop("stock", "")}
        files.update({f"templates/{name}/nuxeo.defaults": text for name, text in templates.items()})
        for name, text in files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text, encoding="utf-8")
        return resolve(str(home / "bin/nuxeo.conf"), str(home), environment or {}, version)

    return make


@pytest.mark.parametrize("version", ["8.10", "9.10", "10.10", "2021", "2023", "2025"])
def test_what_nuxeoctl_says_of_the_log_folder_lies_over_the_stock_defaults(made: Resolve, version: str) -> None:
    found = made(version, "", stock="nuxeo.log.dir=/elsewhere\n", default="")
    assert found.folder("nuxeo.log.dir") == f"{found.home}/log"


@pytest.mark.parametrize("version", ["2021", "2023", "2025"])
def test_appended_templates_come_by_their_names_wherever_they_are_set(made: Resolve, version: str) -> None:
    names = ("system", "custom", "00-base", "20-more")
    conf = "".join(f"nuxeo.append.templates.{name}={name}\n" for name in names)
    stock = "nuxeo.append.templates.10-db=db\n"
    found = made(version, conf, stock=stock, default="", db="", **dict.fromkeys(names, ""))
    assert found.templates == ["default", "00-base", "db", "20-more", "custom", "system"]


@pytest.mark.parametrize("version", ["8.10", "9.10", "10.10", "2021", "2023", "2025"])
def test_what_a_template_keeps_encrypted_is_a_secret_whoever_asks_first(made: Resolve, version: str) -> None:
    found = made(version, "", default="my.thing={$$AAAA}\nmy.other=AAAA\n")
    assert found.is_secret("my.thing") and not found.is_secret("my.other")


@pytest.mark.parametrize("version", ["8.10", "9.10", "10.10", "2021", "2023", "2025"])
def test_a_value_of_nuxeo_conf_is_clear_though_its_key_comes_with_a_template(made: Resolve, version: str) -> None:
    found = made(version, "a={$$dzLMl4EiVwF/NIDL5aEZ5Q==}\n", default="server.status.key=s3cret\n")
    assert found.used("a") == "clear"


@pytest.mark.parametrize("version", ["8.10", "9.10", "10.10", "2021", "2023", "2025"])
def test_where_a_template_would_have_the_data(made: Resolve, version: str) -> None:
    """Up to 10.10 the folders are settled before the templates: a backup of what one names would be an empty one."""
    own = version in ("8.10", "9.10", "10.10")
    for said, data in (
        ("nxserver/data", "<home>/nxserver/data"),
        ("/mnt/data", "/mnt/data"),
        ("", "<home>/nxserver/data"),
    ):
        stock = f"nuxeo.data.dir={said}\n" if said else ""
        found = made(version, "", stock=stock, default="nuxeo.data.dir=/elsewhere\n")
        assert found.folder("nuxeo.data.dir") == (data.replace("<home>", found.home) if own else "/elsewhere")


@pytest.mark.parametrize("version", ["9.10", "10.10", "2021", "2023", "2025"])
def test_a_secret_variable_is_one_by_the_new_name_too(made: Resolve, version: str) -> None:
    found = made(version, "mail.smtp.host=x${env:MY_PASSWORD}\n", {"MY_PASSWORD": "canary"}, default="")
    assert found.get("mail.transport.host") == "xcanary"
    assert found.shown("mail.transport.host") is None and found.shown("mail.smtp.host") is None
