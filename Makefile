# SPDX-License-Identifier: MIT
# `make reproduce` and `make test` install what is missing, and say so before they do.
PYTHON ?= python3
VENV := .venv
PACKAGES := bc binutils-aarch64-linux-gnu bison cpio curl debian-archive-keyring e2fsprogs flex gcc \
	    gcc-aarch64-linux-gnu libc6-dev libc6-dev-arm64-cross make mmdebstrap openssh-client patch perl \
	    util-linux xz-utils

# A server that the tests start for themselves, as nobody, on a socket.
TEST_PACKAGES := postgresql

.PHONY: reproduce test stress lint lock system venv clean

reproduce: venv
	$(VENV)/bin/neve run playbooks/fallback.yaml

test: PACKAGES += $(TEST_PACKAGES)
test: venv lint
	$(VENV)/bin/pytest

# Many boots in a row; not a part of `make test`.
stress: venv
	$(VENV)/bin/pytest -m stress

lint: venv
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

# System packages: asked of dpkg, installed by apt as root or through sudo.
system:
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
			$$sudo apt-get install -y -qq --no-install-recommends $$missing; \
	fi

# Python packages: a virtual environment, with the versions and hashes of the lock file.
venv: system $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	@echo "Installing Python packages into $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# After a change of the dependencies in pyproject.toml.
lock: venv
	$(VENV)/bin/pip-compile --quiet --no-emit-index-url --no-emit-find-links --generate-hashes \
		--extra dev --strip-extras --allow-unsafe --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache *.egg-info
