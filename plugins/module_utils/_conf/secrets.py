# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: which values are secrets, and how the rest is shown without those that hide in them."""

from __future__ import annotations

import re
import typing as t

_WORDS = (
    r"password|passwort|passwd|passphrase|passcode|pwd|secret|credential|jaas|authorization|private[._-]?key"
    r"|(?:api|access|account)[._-]?key|awsid|token(?:[._-]?value)?$|keystore[._]?pass|\bsas$|connection[._-]?string"
)
_NAMES = re.compile(
    _WORDS + r"|server\.status\.key|statuskey|crypt\.|binarymanager_key|^javax\.net\.ssl|clid$|\.pass$|\.key$|_key$",
    re.IGNORECASE,
)
_SHOWN = re.compile(
    r"(?:crypt\.(?:keystore\.(?:path|file|type|legacymode)|serverside)|key\.?alias|user[._]?separator[._]?key"
    r"|enabled?|required|path|file|type|protocol|ttl|timeout\w*|(?:default|max|min)\w*|provider|class)$",
    re.IGNORECASE,
)
_VARIABLES = re.compile(r"\$\{env(?:\?\?)?:(\w*)", re.ASCII)
_VARIABLE = re.compile(_WORDS + r"|(?:^|_)(?:key|pass|pw)$", re.IGNORECASE)
_HOST = r"(?:\[[^\]\s]*\]|[^\s/?#@:,;]*)(?::\d+)?"
# up to the last @, also behind a slash where what is before that is no list of hosts: a password may have both
_USERINFO = re.compile(
    rf"([a-z][a-z0-9+.\-]*://)((?!{_HOST}(?:,{_HOST})*(?:[/?#;\s\"']|$))\S*|[^/\s]*)@", re.IGNORECASE
)
_ORACLE = re.compile(r"(jdbc:oracle:[a-z]+:)(?!@).+@", re.IGNORECASE)
_PARAMETER = r"[^?&;,\s=]*(?:passw|passphrase|pwd|secret|token|accountkey|sharedaccess|credential)[^?&;,\s=]*\s*=\s*"
_QUOTED = r"\"(?:\"\"|\\.|[^\"\\])*\"|'(?:''|\\.|[^'\\])*'|\{(?:\}\}|[^}])*\}"
# what parts the parameters before one is taken to part it from the next; before the first it is not known
_PARAMETERS = [
    re.compile(rf"({before}{_PARAMETER})(?:{_QUOTED})?{value}", re.IGNORECASE | re.DOTALL)
    for before, value in (("[?&]", "[^&]*"), (r";\s*", "[^;]*"), (r",\s*", "[^,]*"), (r"\s", r"\S*"), ("^", ".*"))
]
MASK = "********"


def is_secret(name: str) -> bool:
    """Whether a property is a secret, by its name."""
    return bool(_NAMES.search(name)) and not _SHOWN.search(name)


def values_under(names: t.Callable[[str], object], given: t.Any) -> set[str]:
    """The values in a dictionary whose names are those of secrets. A switch is none; what is no dictionary has none.

    :param names: tells whether a name is one of a secret
    """
    some = given.items() if isinstance(given, dict) else ()
    return {str(value) for name, value in some if names(str(name)) and value not in (None, "", True, False)}


def in_properties(given: t.Any) -> set[str]:
    """The values in a dictionary of properties that are secrets, or carry one, as the URL of a database may."""
    some = given.values() if isinstance(given, dict) else ()
    return values_under(is_secret, given) | {str(value) for value in some if mask(str(value)) != str(value)}


def mask(value: str) -> str:
    """A value without the secrets that URLs and connection strings carry, and without more where an end is not sure."""
    for parameter in _PARAMETERS:
        value = parameter.sub(rf"\g<1>{MASK}", value)
    value = _ORACLE.sub(rf"\g<1>{MASK}@", value)
    return _USERINFO.sub(rf"\g<1>{MASK}@", value)


def logins(text: str) -> list[str]:
    """What stands before the hosts of the URLs in a text."""
    return [login for _scheme, login in _USERINFO.findall(text)]


def is_secret_variable(name: str) -> bool:
    """Whether a variable of the environment is a secret, by its name."""
    return bool(_VARIABLE.search(name))


def takes_secret_variable(text: str) -> bool:
    """Whether a value takes in a variable of the environment that is a secret by its name."""
    return any(is_secret_variable(name) for name in _VARIABLES.findall(text))
