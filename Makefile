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
#   PYTHON=program                    the Python that the environment is made with (default python3)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# A choice is data: neither make nor the shell may expand what a caller writes into it. Recipes read it from the environment, in quotes;
# the program that it is for knows the default, which an empty one means too.
override CHOICES := BUILD DATA ENGINE EXTRACT FROM FUZZ MIRROR PROTOCOL PYTHON RENDERER ROWS SOURCE_DATE_EPOCH SPARK_MASTER TARGET WORKERS
$(foreach choice,$(CHOICES),$(eval override $(choice) := $$(value $(choice))))
$(foreach choice,$(CHOICES),$(if $(value $(choice)),$(eval export $(choice)),$(eval unexport $(choice))))

# Text is UTF-8 in files, names and on the screen, whatever the locale says.
export PYTHONUTF8 := 1

# Compiled modules are kept, whatever the caller does elsewhere: without them each command and each test process compiles all modules anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
RUN := $(VENV)/bin/python -m analysis
PYTEST := $(VENV)/bin/python -m pytest
READY := $(VENV)/.ready

.PHONY: help report data results records spark refresh edition headlines test check slow fuzz mutation nightly bench bench-records simulation its-simulation snapshot why verify clean doctor

help: ## say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

# Published files → panel → estimates → reports. Each stage is asked every time, and runs only where its inputs have changed:
# the content of a file, a module or a table of the protocol (analysis/build/steps.py), whatever the files' times.
report: results ## render the evaluation, HTML and PDF, from published data
	@$(RUN) reports --if-changed

results: data ## fit every model on the panel
	@$(RUN) results --if-changed

data: $(READY) ## read, check and clean the published files into the panel
	@$(RUN) data --if-changed

refresh: $(READY) ## take in new and revised months, rebuild, and report what moved and why: make refresh FROM=folder
	@$(RUN) refresh $${FROM:+--from="$$FROM"}
	@$(MAKE) report

edition: results ## record the headlines of this build in the table of editions that the protocol names
	@$(RUN) edition

headlines: results ## fail if a headline changed since the last edition and no entry of CHANGELOG.md acknowledges it
	@$(RUN) headlines

why: $(READY) ## say what would run again, or last did, and what triggered it: make why TARGET=results
	@$(RUN) why -- $${TARGET:+"$$TARGET"}

verify: $(READY) ## check every file of the build against its manifest
	@$(RUN) verify

records: data ## count a patient-level extract: make records EXTRACT=folder (ENGINE=spark SPARK_MASTER=… for a cluster)
	@$(RUN) records

test: $(READY) ## the quick tests (about a minute)
	@$(PYTEST) -m "not slow and not spark and not nightly" --numprocesses 2 --dist worksteal

check: test slow ## everything: style, types, all the tests

slow: $(READY) ## style, types, and the tests that take longer
	@$(VENV)/bin/ruff check analysis tests
	@$(VENV)/bin/mypy analysis
	@$(VENV)/bin/lint-imports
	@$(PYTEST) -m "slow and not spark and not nightly" --numprocesses 2 --dist worksteal

spark: $(READY) ## the same counts on Spark as on DuckDB; needs Java 17 or later
	@.ci/install spark
	@$(PYTEST) -m "spark and not nightly" --numprocesses 2 --dist worksteal

fuzz: $(READY) ## try five thousand new spoilt inputs on every reader (FUZZ=number for more)
	@FUZZ="$${FUZZ:-5000}" $(PYTEST) tests/sources/test_fuzz.py --numprocesses 2

mutation: $(READY) ## put a hundred faults into the package, one at a time, and write down which quick test notices (tests/README.md)
	@.ci/install mutation
	@$(VENV)/bin/python tests/mutation/prove.py

nightly: $(READY) ## what takes too long for every push: builds of odd studies and in odd places, larger attacks, fuzz, and the tests proved by faults
	@.ci/install spark
	@$(PYTEST) -m nightly --numprocesses 2 --dist loadfile --no-loadscope-reorder
	@$(PYTEST) tests/reports -m "slow and not nightly" --numprocesses 2 --dist loadfile
	@$(MAKE) --no-print-directory fuzz mutation

bench: data ## time the stages and print ratios
	@.ci/install bench
	@$(VENV)/bin/python tests/benchmarks/bench.py

bench-records: $(READY) ## time the counting of made-up extracts (ROWS="1 3 10", in millions)
	@.ci/install bench
	@$(VENV)/bin/python -m tests.benchmarks.records

simulation: data ## simulate the error rates of every method, about an hour; writes reports/simulation.csv
	@$(RUN) simulation

its-simulation: data ## the same for interrupted time series, some minutes; writes reports/its_simulation.csv
	@$(RUN) its-simulation

snapshot: $(READY) ## rewrite the embedded snapshot from the full published data
	@$(RUN) snapshot

doctor: $(READY) ## say what is there, what is not, and what follows
	@$(RUN) doctor

# It needs none of the locked packages, so it sets nothing up.
clean: ## remove what was built in BUILD (not the downloads)
	@"$${PYTHON:-python3}" -m analysis clean

# A new Python, or none where the environment's was, makes the environment anew.
$(READY): $(VENV)/bin/python requirements.lock pyproject.toml
	@.ci/set-up

$(VENV)/bin/python: ;
