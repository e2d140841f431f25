# make demo    compile an example and look inside the object
# make test    everything CI checks: lint, types, tests compiled and uncompiled
# make bench   ratios against peers, measured in one run
# make fuzz    hostile input, what the verifier accepts, and all engines against each other, for ten
#              minutes each (SECONDS=600)
# make soak    writers, readers, iterators and killers at every kind of map (SECONDS=600)
# make clean   remove what the others made
#
# Needs Python 3.11 or newer and make. Each target makes .venv and installs what it needs there.

PYTHON := $(or $(shell command -v python3.11 2>/dev/null),$(shell command -v python3 2>/dev/null))
BIN := .venv/bin
SECONDS ?= 600
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The clang inside the ziglang wheel compiles C to BPF where the machine's own cannot.
EXTRAS := test$(shell clang --print-targets 2>/dev/null | grep -q bpf || echo ,compile)
BUILT_FROM := pyproject.toml setup.py build_backend/backend.py $(shell find src/core -name '*.[ch]') \
	src/anybpf/errors.py $(shell find src/anybpf/isa src/anybpf/btf src/anybpf/objects \
		src/anybpf/verifier -name '*.py')

.PHONY: demo test lint types compiled pure bench fuzz soak clean

# The demonstration runs the rooms as Python unless they are compiled already: it should be there
# within a minute.
demo: $(or $(wildcard .venv/built),.venv/pure)
	@mkdir -p build
	$(BIN)/anybpf cc examples/droppacket/droppacket.c -o build/droppacket.o
	$(BIN)/anybpf obj show build/droppacket.o
	$(BIN)/anybpf obj disasm build/droppacket.o

test: lint types compiled pure

lint: .venv/built
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/built
	$(BIN)/mypy

compiled: .venv/built
	ANYBPF_PURE=0 $(BIN)/pytest -n 2

pure: .venv/built
	ANYBPF_PURE=1 $(BIN)/pytest -n 2

bench: .venv/built
	for script in bench/*.py; do $(BIN)/python $$script || exit 1; done

fuzz: .venv/built
	$(BIN)/pip install --quiet 'atheris>=2.3'
	$(BIN)/python fuzz/soundness/build.py
	for script in load_spec verifier engines; do \
	    $(BIN)/python fuzz/$$script.py --seconds $(SECONDS) || exit 1; \
	done

soak: .venv/built
	$(BIN)/python fuzz/soak.py --seconds $(SECONDS)

.venv/made:
	$(PYTHON) -m venv .venv
	touch $@

.venv/pure: .venv/made
	ANYBPF_PURE=1 $(BIN)/pip install --quiet --editable '.$(if $(findstring compile,$(EXTRAS)),[compile])'
	touch $@

.venv/built: .venv/made $(BUILT_FROM)
	$(BIN)/pip install --quiet --editable '.[$(EXTRAS)]'
	touch $@

clean:
	rm -rf .venv build dist src/*.egg-info
	find . -name '*.so' -not -path './.git/*' -delete
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
