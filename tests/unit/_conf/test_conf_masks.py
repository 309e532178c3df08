# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is taken for a secret, and that the whole of one is masked."""

from __future__ import annotations

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.option import secrets_of
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.secrets import MASK, is_secret, mask


@pytest.mark.parametrize(
    "name",
    [
        *(
            "nuxeo.db.user",
            "nuxeo.db.user_separator_key",
            "nuxeo.changetoken.enabled",
            "nuxeo.server.ajp.secretRequired",
        ),
        *("nuxeo.db.user.separator.key", "kafka.truststore.path", "nuxeo.s3storage.crypt.keystore.file", "nuxeo.url"),
        *(
            "nuxeo.templates",
            "server.crypt.keyalias",
            "server.crypt.keystore.path",
            "elasticsearch.restClient.username",
        ),
        "nuxeo.bulk.action.garbageCollectExpiredOAuth2Tokens.defaultConcurrency",
    ],
)
def test_names_that_are_no_secrets(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "jdbc:postgresql://h/n?user=x&password=can,ary;1 2&ssl=true",
            "jdbc:postgresql://h/n?user=x&password=*&ssl=true",
        ),
        ("jdbc:postgresql://h/n?password=can?ary", "jdbc:postgresql://h/n?password=*"),
        ('jdbc:oracle:thin:nuxeo/"c@nary"@db:1521:X', "jdbc:oracle:thin:*@db:1521:X"),
        ("jdbc:oracle:thin:nuxeo/c@nary@//db:1521/X", "jdbc:oracle:thin:*@//db:1521/X"),
        ("jdbc:oracle:thin:@//db:1521/X", "jdbc:oracle:thin:@//db:1521/X"),
        ("mongodb://u:c@nary@host", "mongodb://*@host"),
        ("mongodb://u:c?n@ry@h1:27017,h2:27017/n?w=1", "mongodb://*@h1:27017,h2:27017/n?w=1"),
        ("http://user:can/ary@h/p", "http://*@h/p"),
        ("http://user:c@n/ary@h", "http://*@h"),
        ("jdbc:sqlserver://h:1;user=u;password={can}}a;ry};x=y", "jdbc:sqlserver://h:1;user=u;password=*;x=y"),
        ("jdbc:sqlserver://h:1;password=can&a,ry c@nary;x=y", "jdbc:sqlserver://h:1;password=*;x=y"),
        ("h:6380,password=can;ary c,ssl=True", "h:6380,password=*,ssl=True"),
        ('a=b; Password="can""a;ry"; c=d', "a=b; Password=* c=d"),
        ("m required username=u password='can\\'a ry' x=y", "m required username=u password=* x=y"),
        ("password=can;a,ry", "password=*"),
        ("https://[::1]:9200/a?sslPassphrase=canary", "https://[::1]:9200/a?sslPassphrase=*"),
    ],
)
def test_the_whole_of_a_secret_is_masked(text: str, shown: str) -> None:
    assert mask(text) == shown.replace("*", MASK)


@pytest.mark.parametrize(
    "text",
    [
        *("http://h:80/p@q", "a=b", "jdbc:postgresql://h:1/n", "user@host", "http://h/p@q", "http://[::1]:80/p@q"),
        *("mongodb://h1:1,h2/n", "http://h1:9200,http://h2:9200", "jdbc:postgresql://h/n?user=a;b&ssl=true"),
    ],
)
def test_what_need_not_be_masked(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize(
    ("variable", "text", "secrets"),
    [
        ("DB_PASSWORD", "canary", {"canary"}),
        ("DB_PASSWORD", "abc", set()),  # it would be cut out of every word of a result
        ("USE_PASSWORD", "true", set()),  # a switch
        ("USE_PASSWORD", "False", set()),
        ("JAVA_OPTS", "-Xmx1g -Dx.password=canary", {"-Xmx1g -Dx.password=canary", "canary"}),
        ("PROXY", "https://me:canary@proxy", {"https://me:canary@proxy", "canary"}),
        ("PROXY", "http://me:can/@ry@proxy", {"http://me:can/@ry@proxy", "can/@ry"}),
        ("DB_URL", "jdbc:postgresql://h/n?password=canary", {"jdbc:postgresql://h/n?password=canary"}),
        ("DB_HOST", "db.example.com", set()),
        ("JAVA_OPTS", "-Xmx1g -Dx.y=z", set()),
    ],
)
def test_what_of_an_environment_leaves_a_module_no_more(variable: str, text: str, secrets: set[str]) -> None:
    assert secrets_of({variable: text}) == secrets
