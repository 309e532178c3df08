# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the option that gives a module the environment of Nuxeo."""

from __future__ import annotations

import typing as t

from .secrets import is_secret_variable

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SHORT = 4
"""Values with fewer characters are not hidden: they would be cut out of everything that is returned."""


def environment_option(value: t.Mapping[str, t.Any] | None) -> dict[str, str] | None:
    """The environment as it is given: YAML's booleans and numbers are meant as they are written."""
    if value is None:
        return None
    return {
        str(name): str(text).lower() if isinstance(text, bool) else str(text)
        for name, text in value.items()
        if text is not None
    }


def taken_environment(module: AnsibleModule, name: str) -> dict[str, str] | None:
    """The environment that an option gives; the values of variables that look like secrets leave the module no more.

    The whole option is not ``no_log``: then every value of it, a host or a template, would be cut out of the results.
    Make the module with ``no_log=True``, so that its arguments do not come into the system's log.
    """
    environment = environment_option(module.params[name])
    for variable, text in (environment or {}).items():
        if is_secret_variable(variable) and len(text) >= SHORT:
            module.no_log_values.add(text)
    return environment
