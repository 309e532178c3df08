# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module refuses of its options before it does anything: what contradicts itself, or lacks the main thing."""

from __future__ import annotations

import importlib
import json
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

PACKAGE = "ansible_collections.nuxeo.platform.plugins.modules"
LEASE = {"data_dir": "/nowhere"}
ROOT = {"root": "/nowhere", "instance": "dms"}
SEARCH = {"repository": "r", "name": "n", "url": ["http://127.0.0.1:1"], "nuxeo_conf": "/nowhere"}
LOGINS = {"url_username": "user", "url_api_key": "canary"}
KAFKA = {"source_prefix": "nuxeo-", "target_prefix": "copy-", "state": "/nowhere"}
UNTIL = {"source_prefix": "nuxeo-", "until": "2026-11-23T02:00:04Z"}
ARCHIVE = {"source_prefix": "nuxeo-", "archive_dest": "/nowhere", "streams": "/nowhere"}
BOTH = "parameters are mutually exclusive: "
ALL = "all of the following are missing: "
ONE = "one of the following is required: "
BY = "missing parameter(s) required by "
RULES: list[tuple[str, dict[str, t.Any], str]] = [
    ("backup_set", {**ROOT, "state": "joined"}, ALL + "run_id"),
    ("backup_set", {**ROOT, "state": "published", "run_id": "r"}, ALL + "manifest"),
    ("backup_set", {**ROOT, "state": "published", "manifest": {}}, ALL + "run_id"),
    ("backup_set", {**ROOT, "state": "abandoned"}, ALL + "run_id"),
    ("blob_rsync", {"src": "/a", "dest": "/b", "src_layout": "pool"}, ALL + "keys"),
    ("blob_verify", {"pool": "/a", "store": "/b", "keys": "/c"}, BOTH + "pool|store"),
    ("blob_verify", {}, ONE + "pool, store"),
    ("blob_verify", {"store": "/a"}, BY + "'store': keys"),
    ("es_index", {"name": "n", "url": ["u"], **LOGINS}, BOTH + "url_username|url_api_key"),
    ("es_index", {"name": "n"}, ONE + "url, nuxeo_conf, nuxeo_home"),
    ("es_snapshot", {**SEARCH, "url_password": "canary", "indices": ["i"]}, BY + "'url_password': url_username"),
    ("es_snapshot", {**SEARCH, "client_key": "/k", "indices": ["i"]}, BY + "'client_key': client_cert"),
    ("es_snapshot", SEARCH, ALL + "indices"),
    ("es_snapshot_restore", {**SEARCH, "record": {}, "record_path": "/r"}, BOTH + "record|record_path"),
    ("es_snapshot_restore", {**SEARCH, **LOGINS, "indices": ["i"]}, BOTH + "url_username|url_api_key"),
    (
        "es_snapshot_restore",
        {**SEARCH, "url_password": "canary", "indices": ["i"]},
        BY + "'url_password': url_username",
    ),
    ("es_snapshot_restore", SEARCH, ONE + "indices, record, record_path"),
    ("es_snapshot_restore", {"repository": "r", "name": "n", "indices": ["i"]}, ONE + "url, nuxeo_conf, nuxeo_home"),
    ("kafka_topic_info", {}, ONE + "prefix, nuxeo_conf"),
    ("kafka_topic_info", {"prefix": "n-", "cut": "/c"}, BY + "'cut': positions"),
    ("kafka_topic_replicate", {**KAFKA, "archive_dest": "/a"}, BOTH + "target_prefix|archive_dest"),
    ("kafka_topic_replicate", {**ARCHIVE, "archive": "/a"}, BOTH + "archive|archive_dest"),
    ("kafka_topic_replicate", {**KAFKA, "archive": "/a", "streams": "/s", "until": "t"}, BOTH + "archive|until"),
    ("kafka_topic_replicate", {**KAFKA, "source": {}, "target": {}}, BOTH + "source|target"),
    ("kafka_topic_replicate", {**KAFKA, "source": {}, "archive": "/a"}, BOTH + "source|archive"),
    ("kafka_topic_replicate", {**ARCHIVE, "source": {}}, BOTH + "source|archive_dest"),
    ("kafka_topic_replicate", {"target_prefix": "copy-", "state": "/s"}, ONE + "source_prefix, nuxeo_conf"),
    ("kafka_topic_replicate", {"source_prefix": "n-"}, ONE + "target_prefix, archive_dest"),
    ("kafka_topic_replicate", {**KAFKA, "retention": "held"}, "any of the following are missing: streams, until"),
    ("kafka_topic_replicate", {**UNTIL, "target_prefix": "c-"}, BY + "'target_prefix': state"),
    ("kafka_topic_replicate", {**KAFKA, "archive": "/a", "retention": "released"}, BY + "'archive': streams"),
    ("kafka_topic_replicate", {**UNTIL, "archive_dest": "/a"}, BY + "'archive_dest': streams"),
    ("kafka_topic_replicate", {**KAFKA, "streams": "/s", "workers": 65}, "workers is 65: it must be from 1 to 64"),
    ("kafka_topic_replicate", {**KAFKA, "streams": "/s", "workers": -1}, "workers is -1: it must be from 1 to 64"),
    ("nuxeo_conf", {"restore_guard": "armed"}, ALL + "restore_set"),
    ("nuxeo_conf_copy", {"src": "/a", "dest": "/b"}, BOTH + "dest|src"),
    ("nuxeo_conf_copy", {}, ONE + "dest, src"),
    ("postgresql_login", {"nuxeo_conf": "/c"}, ALL + "label"),
    ("postgresql_login", {"state": "absent"}, ALL + "token"),
    ("postgresql_restore", {"src": "/s", "marked": "/m"}, "parameters are required together: marked, run"),
    ("postgresql_restore", {"src": "/s", "run": "r"}, "parameters are required together: marked, run"),
    ("restore_lease", {**LEASE, "state": "absent"}, ALL + "run_id"),
    ("restore_lease", {**LEASE, "backup_root": "/r"}, BY + "'backup_root': instance"),
    ("restore_marker", {**LEASE, "state": "begun", "set": "s", "instance": "i"}, ALL + "run"),
    ("restore_marker", {**LEASE, "state": "begun", "set": "s", "run": "r"}, ALL + "instance"),
    ("restore_marker", {**LEASE, "state": "begun", "run": "r", "instance": "i"}, ALL + "set"),
    ("restore_sharing", {**LEASE, "state": "present"}, ALL + "run_id"),
    ("restore_sharing", {**LEASE, "state": "seen"}, ALL + "names"),
    ("restore_sharing", {**LEASE, "state": "absent"}, ALL + "names"),
    ("restore_sharing", {"state": "known", "leader": "a1"}, ALL + "sights"),
]


@pytest.mark.parametrize(("module", "options", "why"), RULES)
def test_it_refuses(module: str, options: dict[str, t.Any], why: str, capfd: pytest.CaptureFixture[str]) -> None:
    with patch_module_args({**options, "_ansible_check_mode": True}), pytest.raises(SystemExit):
        importlib.import_module(f"{PACKAGE}.{module}").main()
    result = json.loads(capfd.readouterr().out.strip().splitlines()[-1])
    assert result["failed"]
    assert why in result["msg"]
