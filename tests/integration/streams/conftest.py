# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One real broker for the tests of streams; each test has prefixes of its own. ``make test-engines`` runs more."""

from __future__ import annotations

import typing as t
import uuid
from pathlib import Path

import pytest
from servers.kafka.kafka_server import DEFAULT_VERSION, Kafka, numbers
from servers.kafka.tools import Site, module
from servers.tiers import ALL

VERSION = DEFAULT_VERSION
QUICK = {
    "log.retention.check.interval.ms": 1000,
    "log.initial.task.delay.ms": 500,
    "log.cleaner.backoff.ms": 300,
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
}


@pytest.fixture(scope="session", params=["1.1.1", "2.8.2", "3.9.2", VERSION] if ALL else [VERSION])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Kafka]:
    with Kafka(request.param, str(tmp_path_factory.mktemp("kafka")), settings=QUICK) as kafka:
        yield kafka


@pytest.fixture()
def site(broker: Kafka) -> Site:
    return Site(broker.bootstrap)


class Copying:
    """A source prefix and a target prefix on one cluster, and the module calls of a backup and a restore."""

    def __init__(self, site: Site, folder: Path, version: str = VERSION) -> None:
        self.site, self.folder, self.version = site, folder, numbers(version)
        mark = uuid.uuid4().hex[:8]
        self.source, self.target = f"s{mark}-", f"t{mark}-"
        self.streams = str(folder / "streams.json")
        self.state = str(folder / "state.json")
        self.report = str(folder / "report.json")

    def name(self, rest: str) -> str:
        return self.source + rest

    def copied(self, rest: str) -> str:
        return self.target + rest

    def backup(self, **options: t.Any) -> dict[str, t.Any]:
        return module(
            "kafka_topic_info",
            {"bootstrap_servers": [self.site.bootstrap], "prefix": self.source, "dest": self.streams, **options},
        )

    def options(self, **options: t.Any) -> dict[str, t.Any]:
        found = {
            "bootstrap_servers": [self.site.bootstrap],
            "source_prefix": self.source,
            "target_prefix": self.target,
            "streams": self.streams,
            "state": self.state,
            "report": self.report,
            "timeout": 20,
            "stall_timeout": 60,
        }
        return {key: value for key, value in {**found, **options}.items() if value is not None}

    def restore(self, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        return module("kafka_topic_replicate", self.options(**options), check)


@pytest.fixture()
def copying(site: Site, broker: Kafka, tmp_path: Path) -> Copying:
    return Copying(site, tmp_path, broker.version)
