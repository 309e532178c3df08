# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# make demo     the main job on an instance made for it: no root, no server needed
# make test     all tests and checks; as root on Debian 12 it installs what it needs
# The parts:    make test-unit | test-integration | test-faults | test-roles | test-meta | test-molecule | lint
#               make test-engines (more versions of PostgreSQL, Elasticsearch, OpenSearch, Kafka)
# Benchmarks:   make bench-dump | bench-blobs | bench-audit | bench-streams
# make clean    removes what was built; make distclean also what was fetched

SHELL := /bin/bash
PREPARE := tests/servers/prepare.sh
VENV := .cache/venv
# More than cores: many tests wait for a server to be ready, or to have been still for a while.
JOBS ?= 4
export PYTHONPATH := $(CURDIR)/build/collections
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/build/collections
export PATH := $(PATH):/usr/sbin:/sbin
unexport MAKEFLAGS MAKELEVEL
# What Python has compiled is kept: modules are started thousands of times.
unexport PYTHONDONTWRITEBYTECODE

# Every worker takes whole groups of tests; one test may take 25 minutes. The run is to stay under 60; it is ended
# at 75. The folder of the tests is one that other users may pass through, since some servers of the tests run as nobody.
# The last line is pytest's summary.
define pytest
@tmp=$$(mktemp -d /tmp/nuxeo-platform-tests.XXXXXX) && chmod 755 $$tmp && trap 'rm -rf --one-file-system '$$tmp EXIT && \
	timeout --kill-after=30 4500 $(VENV)/bin/python -m pytest --basetemp=$$tmp/t --timeout=1500 \
	-n $(JOBS) --dist=loadgroup --no-loadscope-reorder --durations=15
endef
DEMO_PYTHON = $(if $(wildcard $(VENV)/.made-of),$(VENV),.cache/venv-demo)/bin/python

.PHONY: all test test-unit test-integration test-faults test-roles test-meta test-molecule test-engines lint demo \
	bench-dump bench-blobs bench-audit bench-streams prepare prepare-engines prepare-demo clean distclean

all: demo

prepare:
	@$(PREPARE) system_and_venv $(VENV) tests/requirements.txt
	@$(PREPARE) link
	@PYTHONPATH=tests $(VENV)/bin/python -m servers.h2 > /dev/null
	@PYTHONPATH=tests $(VENV)/bin/python -m servers.postgresql_builds 9.6 > /dev/null
	@PYTHONPATH=tests $(VENV)/bin/python -m servers.kafka.kafka_server > /dev/null

prepare-demo:
	@[ -e $(VENV)/.made-of ] || $(PREPARE) venv .cache/venv-demo tests/requirements-demo.txt
	@$(PREPARE) link

# Search engines are fetched by Maven, in a step of its own, so that a registry that fails does not look like a test that does.
prepare-engines: prepare
	@PYTHONPATH=tests $(VENV)/bin/python -m servers.search.engines fetch es7 es8 os1 > /dev/null

# Left to test-engines: further search engines, of PostgreSQL and Kafka other versions, three brokers and more kills, and
# what another test shows in nearly the same way; see tests/servers/tiers.py.
test: prepare-engines
	$(pytest) tests/meta tests

test-engines: export NUXEO_TEST_ENGINES = all
test-engines: prepare
	$(pytest) tests/integration/search tests/integration/streams tests/integration/database \
	  tests/roles/test_streams_roles.py tests/roles/test_h2_roles.py tests/meta/test_tools.py

test-unit: prepare
	$(pytest) tests/unit

test-integration: prepare-engines
	$(pytest) tests/integration

test-faults: prepare
	$(pytest) tests/faults

test-roles: prepare
	$(pytest) tests/roles

test-meta: prepare
	$(pytest) tests/meta

test-molecule: prepare
	$(pytest) tests/meta/test_molecule.py

lint: prepare
	$(pytest) tests/meta -k "ruff or mypy or lint or changelog"

demo: prepare-demo
	@PYTHONPATH=tests $(DEMO_PYTHON) tests/demo/demo.py

bench-dump: prepare
	@$(VENV)/bin/python tests/bench/bench_dump.py
	@$(VENV)/bin/python tests/bench/bench_playbook.py

bench-audit: prepare
	@$(VENV)/bin/python tests/bench/bench_audit.py

bench-streams: prepare
	@$(VENV)/bin/python tests/bench/bench_streams.py

bench-blobs: prepare
	@$(PREPARE) bench
	@$(VENV)/bin/python tests/bench/bench_blobs.py

clean:
	rm -rf build .mypy_cache .ruff_cache .pytest_cache tests/output .ansible

distclean: clean
	rm -rf .cache
