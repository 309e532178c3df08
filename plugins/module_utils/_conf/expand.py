# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what stands for something else in a value: ``${env:NAME}`` and ``${name:=default}``."""

from __future__ import annotations

import re
import typing as t

from .java import is_blank, trim

ROUNDS = 11
"""The launcher stops when its count of rounds is above ten."""

_ANY = "[^\n\r\u0085\u2028\u2029]"
_ENV = re.compile(r"\$\{env(\?\?)?:([A-Za-z0-9_]*)(:?(" + _ANY + r"*?)?)?\}")
_GROUPS = {"boolean": 1, "envparam": 2, "defaultvalue": 4}
_NAME = r"[a-zA-Z_0-9\-\.]+"
_GREEDY = re.compile(r"(?<!\$)\$\{(#)?(" + _NAME + r")(?::=(" + _ANY + r"*))?\}")
_NESTED = re.compile(r"(?<!\$)\$\{(#)?(" + _NAME + r")(?::=((?:[^{}]*|\{[^{}]*\})))?\}")
_DIGITS = "0123456789"


class BadReplacement(ValueError):
    """The value of a variable stops the launcher: it is not protected against ``$`` and a backslash at its end."""


def expand_environment(text: str, environment: t.Mapping[str, str]) -> str:
    """Put the environment into a value, with the damage that the launcher does to ``$`` and backslashes.

    :raises BadReplacement: where the launcher stops with an exception
    """
    if is_blank(text):
        return text

    def put(found: re.Match[str]) -> str:
        value = environment.get(found.group(2))
        if found.group(1):
            return "false" if is_blank(value) else "true"
        if value is None or is_blank(value):
            value = found.group(4) or ""
        return _append_replacement(value, found)

    return _ENV.sub(put, text)


def _append_replacement(value: str, found: re.Match[str]) -> str:
    """``Matcher.appendReplacement``: backslashes protect, ``$`` names a group of the match."""
    out = []
    at = 0
    while at < len(value):
        char = value[at]
        at += 1
        if char == "\\":
            if at == len(value):
                raise BadReplacement("it ends with a backslash")
            out.append(value[at])
            at += 1
        elif char == "$":
            group, at = _group(value, at)
            out.append(found.group(group) or "")
        else:
            out.append(char)
    return "".join(out)


def _group(value: str, at: int) -> tuple[int, int]:
    """The group that is named behind a ``$``, and where the text goes on."""
    if value[at : at + 1] == "{":
        name = re.match(r"[A-Za-z0-9]*", value[at + 1 :])
        label = name.group() if name else ""
        end = at + 1 + len(label)
        if value[end : end + 1] != "}" or label not in _GROUPS:
            raise BadReplacement("it holds a '${'")
        return _GROUPS[label], end + 1
    if value[at : at + 1] not in tuple(_DIGITS):
        raise BadReplacement("it holds a '$' that no digit follows")
    number = int(value[at])
    if number > 4:
        raise BadReplacement("it holds a '$' with a number above 4")
    at += 1
    while value[at : at + 1] in tuple(_DIGITS) and number * 10 + int(value[at]) <= 4:
        number = number * 10 + int(value[at])
        at += 1
    return number, at


class Expander:
    """Expands ``${name}``, ``${name:=default}`` and ``${#name}`` as TextTemplate of each version does."""

    def __init__(self, get: t.Callable[[str], str | None], decrypt: t.Callable[[str], str], greedy: bool) -> None:
        self._get = get
        self._decrypt = decrypt
        self._pattern = _GREEDY if greedy else _NESTED

    def _once(self, text: str) -> str:
        def put(found: re.Match[str]) -> str:
            value = self._get(found.group(2))
            if value is None:
                value = found.group(3)
            if value is None:
                return found.group()
            return self._decrypt(trim(value))

        return self._pattern.sub(put, text)

    def _pass(self, text: str) -> str:
        for _round in range(ROUNDS):
            expanded = self._once(text)
            if expanded == text:
                break
            text = expanded
            if len(text) > 1 << 20:  # a reference to itself, doubled in each round
                break
        return text

    def expand(self, text: str) -> str:
        """All rounds; and all rounds again behind each ``$${``, whose escape is gone after the first."""
        text = self._pass(text)
        if "$${" in text:
            text = self._pass(text.replace("$${", "${"))
            text = text.replace("$${", "${")
        return text

    def open_references(self, text: str) -> list[str]:
        """The references that are left in an expanded value."""
        return [found.group() for found in self._pattern.finditer(text)]
