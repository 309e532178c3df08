# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: Nuxeo Stream on Kafka, cut at the backup date and copied under a new prefix.

The data flows one way: ``connection`` (how to reach a cluster) -> ``cluster`` (every question to it, each with a
deadline) -> ``names`` (which topics are this instance's) -> ``snapshot`` (streams.json: positions and ends) -> ``plan``
(what is to be copied, and what speaks against it) -> ``replicate`` (the run: ``journal``, ``topics``, ``workers`` with
``copier`` in them, ``groups``).
"""
