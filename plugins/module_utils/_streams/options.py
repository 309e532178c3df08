# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the options that the Kafka modules share, and the settings that come of them."""

from __future__ import annotations

import contextlib
import os
import tempfile
import typing as t

from .._argspec import Spec
from .._conf.preview import resolve_with
from .connection import Configuration, Settings, settings
from .stores import Run, found_in

CONNECTION: Spec = {
    "bootstrap_servers": {"type": "list", "elements": "str"},
    "security_protocol": {"type": "str", "choices": ["PLAINTEXT", "SASL_PLAINTEXT", "SASL_SSL", "SSL"]},
    "sasl_mechanism": {"type": "str", "choices": ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]},
    "sasl_username": {"type": "str"},
    "sasl_password": {"type": "str", "no_log": True},
    "ssl_cafile": {"type": "path"},
    "ssl_certfile": {"type": "path"},
    "ssl_keyfile": {"type": "path", "no_log": False},
    "ssl_key_password": {"type": "str", "no_log": True},
    "ssl_check_hostname": {"type": "bool", "default": True},
    "extra_config": {"type": "dict"},
}

TIMES: Spec = {"timeout": {"type": "float", "default": 30.0}}


def configuration(params: t.Mapping[str, t.Any]) -> t.Optional[Configuration]:
    """The resolved nuxeo.conf, where one is named. A file that an unfinished restore has armed is read as if it were
    not."""
    if not params.get("nuxeo_conf"):
        return None
    return resolve_with(
        params.get("nuxeo_properties"),
        params["nuxeo_conf"],
        params["nuxeo_home"],
        params["nuxeo_environment"],
        params["nuxeo_version"],
    )


def prefix_of(params: t.Mapping[str, t.Any], option: str) -> str:
    """The option, else kafka.topicPrefix as nuxeo.conf has it; ``nuxeo-`` is what Nuxeo takes without it.

    An empty one is taken as it stands, as by Nuxeo: ``nuxeo-`` may be another instance's.
    """
    if params[option] is not None:
        return str(params[option])
    conf = configuration(params)
    told = conf.get("kafka.topicPrefix") if conf is not None else None
    return "nuxeo-" if told is None else told


@contextlib.contextmanager
def client_settings(
    params: t.Mapping[str, t.Any], run: Run, tmpdir: t.Optional[str] = None
) -> t.Iterator[t.Callable[[t.Optional[t.Mapping[str, t.Any]]], Settings]]:
    """A function that gives a client's settings: the module's own, or of another cluster's options on top of them.

    Converted key stores live in a private folder that is gone afterwards; ``tmpdir`` is that of a module, which Ansible
    removes also when the module was killed.
    """
    with tempfile.TemporaryDirectory(prefix="nuxeo-platform-kafka-", dir=tmpdir) as folder:
        conf = configuration(params)
        told = (conf.get("JAVA_HOME"), conf.environment.get("JAVA_HOME")) if conf is not None else ()
        run = found_in([*told, os.environ.get("JAVA_HOME")], run)

        def make(other: t.Optional[t.Mapping[str, t.Any]] = None) -> Settings:
            return settings(params, conf, folder, run) if other is None else settings(other, None, folder, run)

        yield make
