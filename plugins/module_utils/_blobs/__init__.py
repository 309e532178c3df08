# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the blob stores, see docs/blob-pool.md.

The data flows one way: ``store`` (where blobs lie) -> ``visit`` (what is new in a folder) -> ``copier`` (bytes, proven)
-> ``passes`` (all folders, in workers) -> ``state`` (what the next pass may skip) and ``keylist`` (what a set holds).
``deliver`` goes the other way, ``verify`` reads the pool again.
"""
