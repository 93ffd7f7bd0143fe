# The NHS vanguard evaluation. `make report` and `make test` set up what they need on a machine with Python 3.11 and make.
#
# Choices, on the command line or in the environment:
#   DATA=auto|mar|snapshot           which data set (auto: the published files where they can be had)
#   MIRROR=folder                     a folder that holds the published files (default ../shared/data)
#   RENDERER=auto|quarto|embedded     what renders (auto: Quarto where it is installed)
#   WORKERS=number                    how many processes work side by side (default: one a core); never changes a result
#   BUILD=folder                      where everything is written (default build)
#   FROM=folder                       of make refresh: where new and revised files are (default MIRROR, else NHS England's pages)
#   EXTRACT=folder                    of make records: Parquet or CSV files of a patient-level extract, or URL#table of a database
#   ENGINE=duckdb|spark               of make records: what counts it; SPARK_MASTER=address of a cluster (default: this machine)
#   PROTOCOL=file                     the study's rules, and by them its cohorts (default analysis/protocol.toml); relative to this folder

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
MIRROR ?= ../shared/data
BUILD ?= build
PROTOCOL ?= analysis/protocol.toml
DATA ?= auto
RENDERER ?= auto
WORKERS ?=
# The time printed on documents and written into PDFs is the commit's, so that two builds of it give the same bytes.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
export MIRROR BUILD PROTOCOL DATA RENDERER WORKERS SOURCE_DATE_EPOCH ROWS ENGINE SPARK_MASTER

# Text is UTF-8 in files, names and on the screen, whatever the locale says.
export PYTHONUTF8 := 1

VENV := .venv
RUN := $(VENV)/bin/python -m analysis
PYTEST := $(VENV)/bin/python -m pytest

READY := $(VENV)/.ready

.PHONY: help report data results records spark refresh edition headlines test check slow fuzz bench bench-records simulation its-simulation snapshot why verify clean doctor

help: ## say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# Published files → panel → estimates → reports. Each arrow is asked every time, and runs what it was made from has changed:
# the content of a file, a module or a table of the protocol (analysis/steps.py), whatever the files' times.
report: results ## render the evaluation, HTML and PDF, from published data
	@$(RUN) reports --if-changed
	@cat $(BUILD)/reports/headline.txt

results: data ## fit every model on the panel
	@$(RUN) results --if-changed

data: $(READY) ## read, check and clean the published files into the panel
	@$(RUN) data --if-changed

refresh: $(READY) ## take in new and revised months, rebuild, and report what moved and why: make refresh FROM=folder
	@$(RUN) refresh $(if $(FROM),--from "$(FROM)")
	@$(MAKE) report

edition: results ## record the headlines of this build in reports/editions.csv
	@$(RUN) edition

headlines: results ## fail if a headline changed since the last edition and no entry of CHANGELOG.md acknowledges it
	@$(RUN) headlines

why: $(READY) ## say what would run again, or last did, and what triggered it: make why TARGET=results
	@$(RUN) why $(TARGET)

verify: $(READY) ## check every file of the build against its manifest
	@$(RUN) verify

records: data ## count a patient-level extract: make records EXTRACT=folder (ENGINE=spark SPARK_MASTER=… for a cluster)
	@$(RUN) records $(if $(EXTRACT),--extract "$(EXTRACT)")

test: $(READY) ## the quick tests (under 3 minutes)
	@$(PYTEST) -m "not slow and not spark" --numprocesses 2 --dist loadfile

check: test slow ## everything: style, types, all the tests

# In the order of their folders, so that whole builds, which take longest, come first.
slow: $(READY) ## style, types, and the tests that take longer
	@$(VENV)/bin/ruff check analysis tests
	@$(VENV)/bin/mypy analysis
	@$(PYTEST) -m "slow and not spark" --numprocesses 2 --dist loadfile --no-loadscope-reorder

spark: $(READY) ## the same counts on Spark as on DuckDB; needs Java 17 or later
	@$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --constraint requirements.lock "pyspark==4.0.5"
	@$(PYTEST) -m spark

fuzz: $(READY) ## try five thousand new spoilt inputs on every reader (FUZZ=number for more)
	@FUZZ=$(or $(FUZZ),5000) $(PYTEST) tests/sources/test_fuzz.py --numprocesses 2

bench: data ## time the stages and print ratios
	@$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --constraint requirements.lock "wildboottest==0.3.2"
	@$(VENV)/bin/python tests/benchmarks/bench.py

bench-records: $(READY) ## time the counting of made-up extracts (ROWS="1 3 10", in millions)
	@$(VENV)/bin/python -m tests.benchmarks.records

simulation: data ## simulate the error rates of every method, about an hour; writes reports/simulation.csv
	@$(RUN) simulation

its-simulation: data ## the same for interrupted time series, some minutes; writes reports/its_simulation.csv
	@$(RUN) its-simulation

snapshot: $(READY) ## rewrite the embedded snapshot from the full published data
	@$(RUN) snapshot

doctor: $(READY) ## say what is there, what is not, and what follows
	@$(RUN) doctor

clean: ## remove what was built (not the downloads)
	@find $(BUILD) -mindepth 1 -maxdepth 1 ! -name downloads -exec rm -rf {} + 2>/dev/null || true

# Set-up: a virtual environment with exactly the locked packages, their hashes checked and compiled, as pip does; then Quarto, tried once.
$(READY): requirements.lock pyproject.toml
	@echo "Setting up $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@awk '/^uv==/ { inside = 1 } inside { print } inside && !/\\$$/ { exit }' requirements.lock > $(VENV)/uv.lock
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.lock
	@$(VENV)/bin/uv pip sync --quiet --compile-bytecode --python $(VENV)/bin/python --require-hashes requirements.lock
	@$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --no-deps --no-build-isolation --editable .
	@.ci/try-quarto $(VENV)
	@touch $@
