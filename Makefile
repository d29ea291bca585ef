# One door. Each target sets up what it needs on a fresh Debian or Ubuntu machine.
VENV ?= .venv
CONFIG ?= examples/office.toml
SEED ?= 1
PY := $(VENV)/bin/python
NATIVE := $(shell find ext setup.py -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.h' -o -name setup.py)
PRODUCT := voipat sipcore media pbx
SOURCES := $(PRODUCT) tests bench fuzz tools examples setup.py
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: env run test check sim races day fuzz fuzz-sanitized fuzz-media mutate soak churn bench bench-peers docs clean help peers peer-asterisk interop interop-asterisk prompts dev debug
.DEFAULT_GOAL := help

$(VENV)/.env: pyproject.toml tools/bootstrap.sh
	@sh tools/bootstrap.sh $(VENV)
	@$(PY) -m pip install -q --no-build-isolation -e .
	@touch $@

$(VENV)/.native: $(VENV)/.env $(NATIVE)
	@$(PY) setup.py -q build_ext --inplace
	@touch $@

$(VENV)/.dev: $(VENV)/.native
	@$(PY) -m pip install -q --no-build-isolation -e '.[dev]'
	@touch $@

env: $(VENV)/.native  ## set up: own virtual environment, native modules, the voipat command

dev: $(VENV)/.dev

peers:  ## install the programs the interop tests call (sipp, baresip, linphone, sipsak, tshark)
	@sh tools/peers.sh

peer-asterisk:  ## fetch Asterisk 22 into a chroot under build/ for `make interop-asterisk`
	@sh tools/peer_asterisk.sh

OUTCOMES := build/interop.jsonl

interop: dev peers bench-peers peer-asterisk  ## every peer, transport and feature; writes the table docs/interop.md
	@$(PY) -m pip install -q -e '.[interop]' --no-build-isolation
	@rm -f $(OUTCOMES)
	@status=0; $(PY) -m pytest tests/interop -m interop --outcomes $(OUTCOMES) || status=$$?; \
		$(PY) tools/interop_table.py $(OUTCOMES) || status=1; exit $$status

interop-asterisk: dev peers peer-asterisk  ## Asterisk 22 as trunk and as PBX of phones (root; not in `make test`)
	@$(PY) -m pytest tests/interop/test_asterisk.py --outcomes $(OUTCOMES).asterisk
	@$(PY) -m pytest tests/interop/calls_with_asterisk.py

run: env  ## run a working PBX on examples/office.toml (CONFIG=my.toml for another)
	@$(VENV)/bin/voipat serve --config $(CONFIG)

check: dev  ## format, lint, types, import contracts, stubs, generated docs
	@$(VENV)/bin/ruff format --check -q $(SOURCES)
	@$(VENV)/bin/ruff check -q $(SOURCES)
	@$(VENV)/bin/mypy
	@$(VENV)/bin/mypy examples/*.py
	@$(VENV)/bin/lint-imports --no-cache
	@$(PY) tools/stub_check.py
	@$(PY) tools/docs.py --check

test: dev peers bench-peers  ## every test, with real phones and load generators
	@$(PY) -m pytest

sim: dev  ## call flows in virtual time; SEED=n replays one
	@VOIPAT_SEED=$(SEED) $(PY) -m pytest tests/sim
	@$(PY) -m tests.sim.office_hour --seconds 3600 --extensions 500 --seed $(SEED)

races: dev  ## transfers crossing hang-ups in every order, each state of the world once; RACE="with Replaces", REORDERED=1 for hours
	@$(PY) -m tests.sim.races --seed $(SEED) $(if $(RACE),--race "$(RACE)") $(if $(REORDERED),--reordered)

day: dev  ## 24 simulated hours of an office of 300 and a call centre of 60 agents, with faults; SEED=n replays one
	@$(PY) -m tests.sim.office_day --seed $(SEED)

fuzz: dev  ## mutated SIP, SDP, RTP and RTCP, and under the sanitizers; COUNT=10000000 MINUTES=60 a campaign of SIP
	@$(if $(COUNT),$(PY) -m fuzz.campaign --count $(COUNT) --minutes $(or $(MINUTES),1440) --workers $(or $(WORKERS),1) \
		--report docs/reference/fuzzing.md,$(PY) tools/fuzz_all.py --full)

fuzz-sanitized: dev  ## a campaign of SIP on the address and undefined-behaviour sanitizers, bounded by MINUTES=30
	@$(PY) tools/sanitized.py -m fuzz.campaign --count $(or $(COUNT),10000000) --minutes $(or $(MINUTES),30) \
		--workers $(or $(WORKERS),1) --report $(CURDIR)/build/fuzzing-sanitized.md

fuzz-media: dev  ## a campaign of RTP, RTCP, SRTP, STUN, DTLS, keys in SDP, sound files: COUNT=10000000 MINUTES=60 WORKERS=1
	@$(PY) -m fuzz.campaign --of media --count $(or $(COUNT),1000000) --minutes $(or $(MINUTES),1440) \
		--workers $(or $(WORKERS),1) --report docs/reference/fuzzing-media.md

mutate: dev  ## change the state machines, dialogs and offer/answer bit by bit: does a test notice? ONLY=dialog for a part
	@nice -n 10 $(PY) -m tools.mutate $(if $(ONLY),--only $(ONLY))

soak: dev peers  ## what takes long: kills, load, churn; ONLY=goodput (F6), ONLY=twice_the_time (X10), ONLY=dns (F12)
	@$(PY) -m pytest tests/soak tests/interop tests/faults tests/sim/test_race_matrices.py -m "slow or not slow" --soak $(if $(ONLY),-k $(ONLY))

churn: dev peers  ## calls opened and closed with media, SRTP among them, and what they leave: MINUTES=60 RATE=100 a second
	@CHURN_MINUTES=$(MINUTES) CHURN_RATE=$(RATE) $(PY) -m pytest -s tests/soak/test_churn.py -k flat --soak

bench: dev peers  ## the figures of the README, written to bench/RESULTS.md; SCENARIO=, PEER= one pair; FULL=1 knees
	@$(PY) -m bench $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(PEER),--peer $(PEER)) $(if $(FULL),--full)

bench-peers:  ## unpack the servers that bench compares with (Kamailio, rtpengine); nothing is installed
	@sh tools/bench_peers.sh

prompts: dev  ## record a set of prompts with espeak-ng: LANGUAGE=de FOLDER=/var/lib/voipat/prompts
	@$(PY) tools/prompts.py $(or $(LANGUAGE),en) $(FOLDER)

docs: dev  ## generate the reference pages
	@$(PY) tools/docs.py

debug: dev  ## native modules with bounds checks and live-handle counters
	@VOIPAT_DEBUG=1 $(PY) setup.py -q build_ext --inplace --force

clean:  ## remove what was built
	@rm -rf build dist $(VENV) *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find $(PRODUCT) -name '*.so' -delete

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
