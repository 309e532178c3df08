# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our reader of properties files against two others: the package javaproperties, and java.util.Properties itself."""

from __future__ import annotations

import base64
import random
import re
import subprocess
import typing as t
from pathlib import Path

import javaproperties
import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.edit import escape, line_for
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.properties import MalformedEscape, parse
from hypothesis import given, settings
from hypothesis import strategies as st

Answer = t.Optional[t.Dict[str, str]]
Java = t.Callable[[t.Sequence[str]], t.List[Answer]]


@pytest.fixture(scope="module")
def java(tmp_path_factory: pytest.TempPathFactory) -> Java:
    """Asks java.util.Properties about many texts in one go; None for a text that it refuses."""
    classes = tmp_path_factory.mktemp("classes")
    source = Path(__file__).parent / "ReadProperties.java"
    subprocess.run(["javac", "-d", str(classes), str(source)], check=True)

    def decoded(text: str) -> str:
        return base64.b64decode(text).decode("utf-16-be", "surrogatepass")

    def ask(texts: t.Sequence[str]) -> list[Answer]:
        asked = "".join(base64.b64encode(text.encode("utf-16-be", "surrogatepass")).decode() + "\n" for text in texts)
        command = ["java", "-Xmx64m", "-cp", str(classes), "ReadProperties"]
        out = subprocess.run(command, input=asked, capture_output=True, text=True, check=True).stdout
        answers: list[Answer] = []
        for line in out.splitlines():
            words = line.split()[1:]
            pairs = (word.split(":") for word in words if word != "refused")
            answers.append(None if "refused" in words else {decoded(name): decoded(value) for name, value in pairs})
        return answers

    return ask


def ours(text: str) -> Answer:
    try:
        return {entry.name: entry.value for entry in parse(text)}
    except MalformedEscape:
        return None


PIECES = [
    "a",
    "b",
    "=",
    ":",
    " ",
    "\t",
    "\f",
    "\\",
    "\\\\",
    "\n",
    "\r\n",
    "\r",
    "#",
    "!",
    "\\u0041",
    "\\u12",
    "\\n",
    "é",
    "x y",
]
PIECES += [
    "\\\n",
    "\\\r\n",
    "\n\\\n",
    "\n  ",
    "\\ ",
    "\\=",
    "key=value\n",
    "\\ud83d\\ude00",
    "\\ud83d",
    "\0",
    "\x0b",
    "\u0085",
    "\u2028",
]


def random_texts(count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return ["".join(chance.choices(PIECES, k=chance.randint(0, 14))) for _number in range(count)]


def test_as_java_reads_it(java: Java) -> None:
    texts = random_texts(6000, 1)
    answers = java(texts)
    assert len(answers) == len(texts)
    wrong = [(text, answer, ours(text)) for text, answer in zip(texts, answers) if ours(text) != answer]
    assert wrong == []
    assert sum(answer is None for answer in answers) > 100
    assert sum(len(answer or ()) > 2 for answer in answers) > 100


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from([piece for piece in PIECES if "ud83d" not in piece]), max_size=14).map("".join))
def test_as_javaproperties_reads_it(text: str) -> None:
    found = ours(text)
    if found is None or re.search(r"(?:^|[\n\r\f])[ \t\f]*\\", text):
        return  # where Java itself changed between its versions: the test above is about those
    if any(char in text for char in "\0\x0b\u0085\u2028"):
        return  # that package takes more characters for line ends than Java does
    assert javaproperties.loads(text) == found


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=5))
def test_what_javaproperties_writes(pairs: list[tuple[str, str]]) -> None:
    values = dict(pairs)
    assert ours(javaproperties.dumps(values)) == values


def test_java_reads_back_what_we_write(java: Java) -> None:
    chance = random.Random(2)
    alphabet = [chr(code) for code in range(0x180)] + ["€", "😀", "\ud83d", "\u2028", "\\", "$", "{", "}", "#", "!"]
    pairs = [
        (
            "".join(chance.choices(alphabet, k=chance.randint(1, 6))),
            "".join(chance.choices(alphabet, k=chance.randint(0, 9))),
        )
        for _number in range(3000)
    ]
    answers = java([f"before=1\n{line_for(name, value)}\nafter=2\n" for name, value in pairs])
    for (name, value), answer in zip(pairs, answers):
        # java.util.Properties skips blanks before a value; Nuxeo takes them away at both ends
        assert answer == {"before": "1", name: value.lstrip(" "), "after": "2"}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a b", "a b"),
        ("c:\\users", "c:\\\\users"),
        ("é", "\\u00e9"),
        ("😀", "\\ud83d\\ude00"),
        ("a\tb\nc", "a\\tb\\nc"),
        ("", ""),
    ],
)
def test_escape(text: str, written: str) -> None:
    assert escape(text) == written


def test_where_an_entry_stands() -> None:
    text = "# c\n\na=1\\\n  2\nb=3"
    first, second = parse(text)
    assert (first.line, text[first.start : first.end]) == (3, "a=1\\\n  2\n")
    assert (second.line, text[second.start : second.end]) == (5, "b=3")


def test_the_malformed_escape_is_named() -> None:
    with pytest.raises(MalformedEscape) as error:
        parse("a=1\n\nhome=C:\\users\n")
    assert (error.value.line, error.value.name) == (3, "home")
