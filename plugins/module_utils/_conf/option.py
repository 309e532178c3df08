# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the options that give a module the environment of Nuxeo, and properties."""

from __future__ import annotations

import re
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.parameters import remove_values

from .errors import ConfError
from .secrets import MASK, in_properties, is_secret, is_secret_variable, logins, mask

SHORT = 4
"""Values with fewer characters are not hidden: they would be cut out of everything that is returned."""
SWITCHES = ("true", "false")
_WORDS = ("problems", "messages")
"""Parts of an answer that are only read."""
_OPTION = re.compile(r"-D([^\s=]+)=(\S+)")
_PASSWORD = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")


def environment_option(value: t.Mapping[str, t.Any] | None) -> dict[str, str] | None:
    """The environment as it is given: YAML's booleans and numbers are meant as they are written."""
    if value is None:
        return None
    return {
        str(name): str(text).lower() if isinstance(text, bool) else str(text)
        for name, text in value.items()
        if text is not None
    }


def in_urls(text: str) -> set[str]:
    """The passwords that stand in URLs; up to the last @, and up to the first of several URLs."""
    whole = {login.partition(":")[2] for login in logins(text)}
    return {*_PASSWORD.findall(text), *whole} - {""}


def secrets_of(environment: t.Mapping[str, str]) -> set[str]:
    """Values that are secrets by their variables' names, those that carry any, and what they carry."""
    found = set()
    for variable, text in environment.items():
        parts = {value for name, value in _OPTION.findall(text) if is_secret(name)} | in_urls(text)
        if parts or is_secret_variable(variable) or mask(text) != text:
            found |= {text, *parts}
    return {text for text in found if len(text) >= SHORT and text.lower() not in SWITCHES}


class EnvironmentModule(AnsibleModule):
    """A module that is given the environment of Nuxeo, or properties: what of it is a secret leaves the module no more.

    The whole option is not ``no_log``: then every value of it, a host or a template, would be cut out of the results.
    No argument comes into the system's log.

    :param option: the name of the option; its values are strings afterwards, whatever YAML has made of them
    :param secrets: tells from the parameters what else is a secret; they may be of any type, when they are wrong
    """

    def __init__(
        self,
        option: str = "nuxeo_environment",
        secrets: t.Callable[[t.Mapping[str, t.Any]], t.Iterable[str]] = lambda _params: (),
        **words: t.Any,
    ) -> None:
        self._option = option
        self._secrets = secrets
        super().__init__(**words)
        environment = self._taken()
        if option in self.params:
            self.params[option] = environment

    def _log_invocation(self) -> None:
        """Nothing. AnsibleModule's own no_log does not do that: what the task says of it takes its place."""

    def exit_json(self, **result: t.Any) -> None:
        """Also called before this is made, when it does not support check mode."""
        self._taken()
        super().exit_json(**result)

    def fail_json(self, msg: str, **result: t.Any) -> None:
        """Also called before this is made, when the options are wrong."""
        self._taken()
        super().fail_json(msg, **result)

    def whole(self, what: str, answer: dict[str, t.Any]) -> dict[str, t.Any]:
        """An answer that later tasks work with. It fails where Ansible would hide a part of it.

        :param what: what the answer is, for the error
        """
        used = {name: value for name, value in answer.items() if name not in _WORDS}
        if remove_values(used, self.no_log_values) != remove_values(used, ()):
            why = "a password that was given is part of a name, path or number in it, which Ansible hides in results"
            todo = "Leave it to nuxeo.conf or to the environment of the running server, or change it"
            self.fail_json(str(ConfError(what, why, todo)))
        return answer

    def _taken(self) -> dict[str, str] | None:
        self.no_log_values.update(self._secrets(self.params))
        self.no_log_values.update(in_properties(self.params.get("nuxeo_properties")))
        given = self.params.get(self._option)
        if given is not None and not isinstance(given, dict):  # wrong options are told as they were given
            self.params[self._option] = MASK
            self.no_log_values.add(str(given))
            return None
        environment = environment_option(given)
        self.no_log_values.update(secrets_of(environment or {}))
        return environment
