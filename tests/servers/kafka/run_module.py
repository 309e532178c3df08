# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one module in a process of its own, which a test can kill: run_module.py NAME < options as JSON."""

from __future__ import annotations

import json
import runpy
import sys

from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args

if __name__ == "__main__":
    arguments = json.load(sys.stdin)
    with patch_module_args(arguments):
        basic._PARSED_MODULE_ARGS = {}
        runpy.run_module(f"ansible_collections.nuxeo.platform.plugins.modules.{sys.argv[1]}", run_name="__main__")
