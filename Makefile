# Each target does its own set-up in a local venv; nothing needs root.
#   make demo           dissect the committed capture, print its top flows and the benchmark table
#   make test           lint, types and the whole suite (30 minutes at most on two cores); make quick: the fast part
#   make test-sanitize  the suite under ASan+UBSan, the C stress programs under TSan, short fuzzing
#   make fuzz           ten minutes of fuzzing for each kind of input; make fuzz-linux: engine and verifier against Linux
#   make wheel          sdist and manylinux wheel into dist/, then a check of the wheel in an empty venv
#   make test-deps      (root) the Debian packages that tests against Linux, libbpf, clang and tcpdump want
#   make bpf-objects    rebuild the committed BPF objects (clang-19 and ziglang)
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SAN_DIR := build/sanitize
SAN_LIBS = $(shell gcc -print-file-name=libasan.so):$(shell gcc -print-file-name=libubsan.so):$(shell gcc -print-file-name=libstdc++.so.6)
SAN_ENV = LD_PRELOAD=$(SAN_LIBS) ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 PYTHONMALLOC=malloc
PYTEST := $(BIN)/python -m pytest -q --timeout 900
FUZZERS := elf btf capture attr
# Against Linux: any disagreement ends them.
LINUX_FUZZERS := engine verifier

export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: build demo test quick lint test-sanitize sanitize-build fuzz fuzz-linux wheel bpf-objects bench test-deps clean

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade 'setuptools>=77' 'Cython>=3.1' 'pybind11>=2.12'
	$(BIN)/python -m pip install -q --no-build-isolation --config-settings editable_mode=compat -e '.[dev]'
	touch $@

build: $(STAMP)
	$(BIN)/python setup.py -q build_ext --inplace -j2

demo: build
	$(BIN)/python -m pyebpf.cli.main demo

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check -q .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache > /dev/null || $(BIN)/lint-imports --no-cache
	$(BIN)/codespell README.md CONTRIBUTING.md CHANGELOG.md docs csrc pyebpf tests benchmarks examples tools
	$(BIN)/cython-lint pyebpf
	ls csrc/*.c | xargs -P 2 -n 6 $(BIN)/clang-tidy --quiet 2> /dev/null
	$(BIN)/clang-format --dry-run -Werror $(wildcard csrc/*.[ch])
	$(BIN)/python tools/gen_headers.py --check
	$(BIN)/python tools/check_source.py
	$(BIN)/python tools/check_warnings.py

test: build lint
	$(PYTEST) tests

quick: build lint
	$(PYTEST) -m 'not slow' tests

# The sanitizers need their own build: the tracked files, copied with their times; sources that went are gone there too.
sanitize-build: $(STAMP)
	mkdir -p $(SAN_DIR)
	find $(SAN_DIR) -type f -name '*.p[yx]*' -not -name '*.pyc' -delete
	git ls-files -z | xargs -0 cp -p --parents -t $(SAN_DIR)
	cd $(SAN_DIR) && PYEBPF_SANITIZE=address,undefined ../../$(BIN)/python setup.py -q build_ext --inplace -j2

test-sanitize: sanitize-build
	cd $(SAN_DIR) && $(SAN_ENV) ../../$(PYTEST) -m 'not slow and not nosan' -p no:cacheprovider tests
	cd $(SAN_DIR) && for f in $(FUZZERS); do $(SAN_ENV) ../../$(BIN)/python -m tests.fuzz.$$f --seconds 20 || exit 1; done
	$(BIN)/python -m tests.maps.c.run thread
	$(PYTEST) tests/engine/test_stress.py

fuzz: sanitize-build
	cd $(SAN_DIR) && for f in $(FUZZERS); do $(SAN_ENV) ../../$(BIN)/python -m tests.fuzz.$$f --seconds 600 || exit 1; done

fuzz-linux: build
	for f in $(LINUX_FUZZERS); do $(BIN)/python -m tests.fuzz.$$f --seconds 600 || exit 1; done

bench: build
	$(BIN)/python -m pytest -q benchmarks

wheel: $(STAMP)
	rm -rf dist
	$(BIN)/python -m build -q --no-isolation
	$(BIN)/auditwheel -v repair --plat manylinux_2_28_x86_64 -w dist dist/*-linux_x86_64.whl || $(BIN)/auditwheel repair -w dist dist/*-linux_x86_64.whl
	rm -f dist/*-linux_x86_64.whl
	$(BIN)/python tools/check_wheel.py dist/*manylinux*.whl

bpf-objects: $(STAMP)
	$(MAKE) -C pyebpf/data/bpf PYTHON=$(CURDIR)/$(BIN)/python

# Debian packages that more tests can run with; needs root, nothing else here does.
test-deps:
	apt-get install -y --no-install-recommends clang-19 llvm-19 bpftool libbpf-dev iproute2 iputils-ping tcpdump tshark

clean:
	rm -rf build dist $(VENV)
	find pyebpf \( -name '*.so' -o -name __pycache__ \) -prune -exec rm -rf {} +
