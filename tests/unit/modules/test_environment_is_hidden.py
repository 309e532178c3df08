# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an environment holds of secrets is in no result and in no system log, in whichever module it is an option."""

from __future__ import annotations

import importlib
import json
import os
import re
import syslog
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args

PACKAGE = "ansible_collections.nuxeo.platform.plugins.modules"
FOLDER = Path(__file__).parents[3] / "plugins" / "modules"
NAMES = ("environment", "nuxeo_environment")
ENVIRONMENT = {
    "DB_PASSWORD": "canary1",
    "JAVA_OPTS": "-Xmx1g -Djavax.net.ssl.trustStorePassword=canary2",
    "PROXY": "https://me:canary3@proxy",
    "PORT": 9,  # as YAML gives it
}
QUICK = {"timeout": 1, "retry_timeout": 0.1, "connect_timeout": 1}
NEEDED = {
    "kafka_topic_replicate": {"retention": "released", "target_prefix": "t", "state": "/nowhere/state"},
    "nuxeo_conf_copy": {"src": "/nowhere/set"},
    "postgresql_login": {"label": "test"},
    "es_snapshot": {"indices": ["x"]},
    "es_snapshot_restore": {"indices": ["x"]},
    "restore_marker": {"state": "finished"},
}
"""What rules beyond ``required`` ask for."""
VALUES: t.Dict[str, t.Any] = {"path": "/nowhere", "dict": {}, "list": ["x"]}


class SpecRead(BaseException):
    """The module has come to where its options are read."""


def spec_of(module: str, patch: pytest.MonkeyPatch) -> t.Dict[str, t.Any]:
    """The options of a module."""
    found = {}

    def init(self: t.Any, argument_spec: t.Dict[str, t.Any], **words: t.Any) -> None:
        found.update(argument_spec)
        raise SpecRead

    patch.setattr(basic.AnsibleModule, "__init__", init)
    with pytest.raises(SpecRead):
        importlib.import_module(f"{PACKAGE}.{module}").main()
    return found


def modules() -> t.Iterator[t.Tuple[str, t.Dict[str, t.Any]]]:
    """Each module of the collection that is given an environment, and its options."""
    for path in sorted(FOLDER.glob("*.py")):
        if path.stem in ("known_variables", "long_step"):  # all of it runs on the controller
            continue
        with pytest.MonkeyPatch.context() as patch:
            spec = spec_of(path.stem, patch)
        if any(name in spec for name in NAMES):
            yield path.stem, spec


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> t.List[str]:
    """What goes to the system's log."""
    lines: t.List[str] = []
    monkeypatch.setattr(basic, "has_journal", False)
    monkeypatch.setattr(syslog, "syslog", lambda *words: lines.append(str(words[-1])))
    monkeypatch.setattr(os, "environ", os.environ.copy())
    return lines


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A nuxeo.conf of an instance whose stores do not answer, at a port that the environment says."""
    lines = [
        *("nuxeo.templates=default,postgresql", "nuxeo.db.host=127.0.0.1", "nuxeo.db.port=${env:PORT}"),
        *("kafka.bootstrap.servers=127.0.0.1:${env:PORT}", "elasticsearch.addressList=http://127.0.0.1:${env:PORT}"),
    ]
    (tmp_path / "templates/default").mkdir(parents=True)
    for name in ("templates/nuxeo.defaults", "templates/default/nuxeo.defaults"):
        (tmp_path / name).write_text("")
    (tmp_path / "templates/postgresql").mkdir()
    (tmp_path / "templates/postgresql/nuxeo.defaults").write_text("nuxeo.db.name=n\nnuxeo.db.user=u\n")
    (tmp_path / "nuxeo.conf").write_text("".join(f"{line}\n" for line in lines))
    return tmp_path / "nuxeo.conf"


def given(module: str, spec: t.Mapping[str, t.Any], conf: Path) -> t.Dict[str, t.Any]:
    """Options with which the module gets as far as to its store."""
    options = {
        name: (one.get("choices") or [VALUES.get(one["type"], "x")])[0]
        for name, one in spec.items()
        if one.get("required")
    }
    known = {**QUICK, **dict.fromkeys(("nuxeo_conf", "conf", "path"), str(conf)), "nuxeo_version": "2023.31"}
    known.update({**dict.fromkeys(("nuxeo_home", "home"), str(conf.parent)), "version": "2023.31"})
    return {**options, **{name: value for name, value in known.items() if name in spec}, **NEEDED.get(module, {})}


@pytest.mark.parametrize("wrong", [False, True], ids=["right", "wrong"])
@pytest.mark.parametrize(("module", "spec"), list(modules()), ids=lambda value: value if isinstance(value, str) else "")
def test_no_secret_of_the_environment_is_shown(
    module: str,
    spec: t.Mapping[str, t.Any],
    wrong: bool,
    conf: Path,
    said: t.List[str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Neither when it works or fails at its store, nor when its options are refused; and a number is no problem."""
    options = {**given(module, spec, conf), **{name: ENVIRONMENT for name in NAMES if name in spec}}
    if "settings" in spec:
        options["settings"] = {"location": "/nowhere", "secret_key": "canary4"}
    options.update({"_ansible_check_mode": True, "_ansible_no_log": False, **({"no_such_option": 1} if wrong else {})})
    with patch_module_args(options), pytest.raises(SystemExit):
        importlib.import_module(f"{PACKAGE}.{module}").main()
    out = capfd.readouterr().out
    result = json.loads(out.strip().splitlines()[-1])
    assert ("no_such_option" in result.get("msg", "")) == wrong
    assert "canary" not in out
    assert "canary" not in "".join(said)
    assert result["invocation"]["module_args"], "what is no secret is shown"
    assert not re.search("required|missing:", result.get("msg", "")), result["msg"]


def test_an_environment_that_is_none_is_hidden_as_a_whole(said: t.List[str], capfd: pytest.CaptureFixture[str]) -> None:
    """As a compose file has it, say."""
    options = {"environment": ["DB_PASSWORD=canary1"], "_ansible_no_log": False}
    with patch_module_args(options), pytest.raises(SystemExit):
        importlib.import_module(f"{PACKAGE}.nuxeo_conf_facts").main()
    out = capfd.readouterr().out
    assert json.loads(out.strip().splitlines()[-1])["failed"]
    assert "canary" not in out + "".join(said)


SASL = {"extra_config": {"sasl.password": "canary6"}}
KAFKA = {"streams": "/nowhere/streams.json", "target_prefix": "t", "state": "/nowhere/state"}
PASSWORDS = ["x/canary6", "1/canary6", "c@canary6", "x#canary6", "x,canary6", "canary6,x"]
OPEN: t.List[t.Tuple[str, t.Dict[str, t.Any]]] = [
    ("kafka_topic_info", {"prefix": "n-", "bootstrap_servers": ["127.0.0.1:9"], **SASL}),
    ("kafka_topic_replicate", {"source_prefix": "n-", "bootstrap_servers": ["127.0.0.1:9"], **KAFKA, **SASL}),
    ("kafka_topic_replicate", {**KAFKA, "source": {"bootstrap_servers": ["127.0.0.1:9"], **SASL}}),
    ("es_index", {"name": "n", "url": ["http://me:canary6@127.0.0.1:9"]}),
    ("es_repository", {"name": "n", "url": ["http://me:canary6@127.0.0.1:9"]}),
    *[("es_index", {"name": "n", "url": f"http://me:{password}@127.0.0.1:9"}) for password in PASSWORDS],
    ("es_snapshot_restore", {"repository": "r", "name": "n", "indices": ["i"], "url": ["http://me:canary6@h:9"]}),
    ("nuxeo_conf", {"properties": {"nuxeo.db.password": "canary6"}}),
    ("restore_target_info", {"properties": {"nuxeo.db.password": "canary6"}}),
    ("postgresql_restore", {"src": "/nowhere", "nuxeo_properties": {"nuxeo.db.password": "canary6"}}),
    ("h2_info", {"path": "/nowhere", "nuxeo_properties": {"nuxeo.db.password": "canary6"}}),
]


@pytest.mark.parametrize(("module", "options"), OPEN)
def test_a_secret_that_is_refused_is_not_shown_with_the_refusal(
    module: str, options: t.Dict[str, t.Any], conf: Path, said: t.List[str], capfd: pytest.CaptureFixture[str]
) -> None:
    name = "path" if module == "nuxeo_conf" else "nuxeo_conf"
    home = {"nuxeo_home": str(conf.parent), "nuxeo_version": "2023.31", "nuxeo_environment": ENVIRONMENT}
    more = home if name == "nuxeo_conf" else {}
    with patch_module_args({name: str(conf), **more, **options}), pytest.raises(SystemExit):
        importlib.import_module(f"{PACKAGE}.{module}").main()
    out = capfd.readouterr().out
    assert re.search("shown in|in logs", json.loads(out.strip().splitlines()[-1])["msg"])
    assert "canary" not in out + "".join(said)


@pytest.mark.parametrize("url", ["jdbc:postgresql://127.0.0.1:9/n?user=u&password=canary7", "http://u:canary7@h:9200"])
@pytest.mark.parametrize(
    ("module", "option", "options"),
    [
        ("nuxeo_conf", "properties", {}),
        ("restore_target_info", "properties", {}),
        ("postgresql_restore", "nuxeo_properties", {"src": "/nowhere"}),
        ("es_index", "nuxeo_properties", {"name": "n", "timeout": 1, "retry_timeout": 0.1}),
    ],
)
def test_a_secret_in_a_property_that_is_none_is_not_shown(
    module: str,
    option: str,
    options: t.Dict[str, t.Any],
    url: str,
    conf: Path,
    said: t.List[str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The login in a URL; all else of the property is."""
    name = "nuxeo.db.jdbc.url" if url.startswith("jdbc") else "elasticsearch.addressList"
    home = {"nuxeo_conf": str(conf), "nuxeo_home": str(conf.parent), "nuxeo_version": "2023.31"}
    home = {"path": str(conf)} if module == "nuxeo_conf" else {**home, "nuxeo_environment": ENVIRONMENT}
    told = {**home, **options, option: {name: url, "a.b": "c"}, "_ansible_check_mode": True, "_ansible_diff": True}
    with patch_module_args({**told, "_ansible_no_log": False}), pytest.raises(SystemExit):
        importlib.import_module(f"{PACKAGE}.{module}").main()
    out = capfd.readouterr().out
    assert "canary" not in out + "".join(said)
    assert json.loads(out.strip().splitlines()[-1])["invocation"]["module_args"][option]["a.b"] == "c"
