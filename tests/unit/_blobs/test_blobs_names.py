# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of blobs, and where they lie."""

from __future__ import annotations

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import names
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.errors import BlobError
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.places import split
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.store import settings

KEY = b"0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (KEY, "md5"),
        (KEY + b"01234567", "sha1"),
        (KEY * 2, "sha256"),
        (KEY * 4, "sha512"),
        (KEY.upper(), None),
        (b"", None),
    ],
)
def test_the_key_says_which_digest_it_is(name: bytes, expected: str | None) -> None:
    assert names.algorithm_of(name) == expected


@pytest.mark.parametrize("name", [b"bin_1.tmp", b"create_1.tmp", KEY + b".tmp", KEY + b"_12.tmp", KEY * 2 + b"8.tmp"])
def test_in_flight(name: bytes) -> None:
    assert names.in_flight(name)


@pytest.mark.parametrize("name", [KEY, b"report.tmp", b"bin_1", b"bin_1.tmp2", b"xbin_1.tmp", b"doc-1"])
def test_not_in_flight(name: bytes) -> None:
    assert not names.in_flight(name)


@pytest.mark.parametrize("name", [b"a\nb", b"a\tb", b"a\x7f", b"\xff", b"a\xc3"])
def test_refused(name: bytes) -> None:
    assert names.refusal(name)
    assert "\n" not in names.shown(name)


def test_folders() -> None:
    assert [names.folder_of(KEY, depth) for depth in range(4)] == [b"", b"01", b"01/23", b"01/23/45"]
    assert names.folder_of(b"abc", 2) == b"000"
    assert names.folder_of(b"abcd", 2) == b"ab/cd"
    assert names.pool_path(KEY) == b"01/23/" + KEY


def test_hosts_and_paths() -> None:
    assert split("/a/b/") == ("", b"/a/b")
    assert split("/a:b/c") == ("", b"/a:b/c")
    assert split("far:/a") == ("far", b"/a")
    assert split("user@far:/a") == ("user@far", b"/a")
    for wrong in ("a/b", "far:a", "-oProxyCommand=x:/a"):
        with pytest.raises(BlobError):
            split(wrong)


def test_config_xml() -> None:
    def read(text: str) -> tuple[int, str]:
        return settings(text, "config.xml", "digest", None, None)

    assert read("") == (2, "MD5")
    assert read("<binary-store>\n <digest>sha-256</digest><depth> 3 </depth></binary-store>") == (3, "SHA-256")
    assert read("<!-- <depth>9</depth> --><b><depth>1</depth></b>") == (1, "MD5")
    assert read('<b><depth unit="x">3</depth></b>') == read("<b><depth><![CDATA[3]]></depth></b>") == (3, "MD5")
    assert read("<b><digest>SHA384</digest><depth>1</depth></b>") == (1, "SHA-384")
    assert read("<digest>SHA</digest>") == (2, "SHA-1")
    assert settings("<depth>1</depth>", "config.xml", "digest", 0, "SHA-1") == (0, "SHA-1")
    assert settings("<depth>2</depth>", "config.xml", "record", None, None) == (0, "MD5")
    for wrong in ("<depth>two</depth>", "<digest>CRC</digest>"):
        with pytest.raises(BlobError):
            read(wrong)
