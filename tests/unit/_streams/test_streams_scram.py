# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SCRAM against the example of RFC 7677, and against servers that lie."""

from __future__ import annotations

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._streams import scram

NONCE = "rOprNGfwEbeRWgbNEkqO"
CHALLENGE = f"r={NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
PROOF = f"c=biws,r={NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="


@pytest.fixture()
def login(monkeypatch):
    monkeypatch.setattr(scram.secrets, "token_urlsafe", lambda size: NONCE)
    steps = scram.exchange("SCRAM-SHA-256", "user", "pencil")
    assert next(steps) == f"n,,n=user,r={NONCE}".encode()
    return steps


def test_the_example_of_the_rfc(login):
    assert login.send(CHALLENGE.encode()) == PROOF.encode()
    with pytest.raises(StopIteration):
        login.send(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


@pytest.mark.parametrize("answer", [b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", b"e=other-error", b"v=", b""])
def test_a_server_that_does_not_know_the_password(login, answer):
    login.send(CHALLENGE.encode())
    with pytest.raises(ValueError):
        login.send(answer)


@pytest.mark.parametrize("answer", ["r=another,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", f"r={NONCE}x", "e=x", ""])
def test_an_answer_to_another_login(login, answer):
    with pytest.raises(scram.Refused):
        login.send(answer.encode())


def test_a_name_with_the_signs_of_the_protocol_and_a_mechanism_that_is_not_known():
    assert next(scram.exchange("SCRAM-SHA-512", "a=b,c", "x")).startswith(b"n,,n=a=3Db=2Cc,r=")
    assert list(scram.exchange("PLAIN", "user", "pencil")) == [b"\0user\0pencil"]
    assert scram.exchange("GSSAPI", "user", "pencil") is None
