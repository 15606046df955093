# The user's commands. Each sets up what it needs; the second time that takes no time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
UV_VERSION := 0.13.9

export PYTHONWARNINGS ?= ignore
export DAGSTER_DISABLE_TELEMETRY ?= true

demo: $(READY) ## land interactions, let the sensor find them, print what came of them [ALL=1] [INTERACTIONS=DIR] [MODEL=GGUF or URL]
	@$(BIN)/python -m cs_features.local.demo $(if $(ALL),--all) $(if $(INTERACTIONS),--interactions "$(INTERACTIONS)") \
	  $(if $(MODEL),--model "$(MODEL)") $(if $(PORT),--port $(PORT))

dev: $(READY) ## the Dagster UI on the same local stack, http://127.0.0.1:3000
	@$(BIN)/python -m cs_features.local.on_stack $(if $(MODEL),--model "$(MODEL)") $(if $(PORT),--port $(PORT)) \
	  dagster dev -w workspace.yaml -h 127.0.0.1 -p $(or $(UI_PORT),3000)

# A worker more than there are cores, because tests wait for processes and daemons; each has a local AWS of its own, and
# who has nothing left to do takes from the others. Bytecode is kept, whatever the machine says: each worker and each
# process of a test would compile all of the project again.
WORKERS := $(shell $(PYTHON) -c 'import os; print(min(4, 1 + (os.cpu_count() or 1)))')
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

test: $(READY) ## every test but the slow ones
	@$(PYTEST) -m "not slow"

test-fast: $(READY) ## the light tests that need no local AWS, in a minute
	@$(PYTEST) -m "not slow and not heavy and not local_aws and not own_aws"

test-slow: $(READY) ## proofs that take minutes: the tests' claims at full size
	@$(PYTEST) -m slow

evaluate: $(READY) ## how good the answers are [LANGUAGES="nl fr"] [CONFUSION=intent] [CANDIDATE=DIR] [CANDIDATE_MODEL=ID] [GATE=1] [LABELS=DIR [LIMIT=60]] [MODEL=GGUF or URL]
	@$(BIN)/python -m cs_features.local.on_stack $(if $(MODEL),--model "$(MODEL)") cs_features.cli.evaluate \
	  $(if $(LANGUAGES),--language $(LANGUAGES)) $(if $(CONFUSION),--confusion $(CONFUSION)) \
	  $(if $(CANDIDATE),--candidate "$(CANDIDATE)") $(if $(CANDIDATE_MODEL),--candidate-model $(CANDIDATE_MODEL)) \
	  $(if $(GATE),--gate) $(if $(LABELS),--labelled "$(LABELS)") $(if $(LIMIT),--limit $(LIMIT))

calibrate: $(READY) ## fit each country's corrections of the scores on the golden corpus [COUNTRIES="NL BE"] [DRY_RUN=1] [PEOPLE=1: on colleagues' labels] [MODEL=GGUF or URL]
	@$(BIN)/python -m cs_features.local.on_stack $(if $(MODEL),--model "$(MODEL)") cs_features.cli.calibrate \
	  $(if $(COUNTRIES),--country $(COUNTRIES)) $(if $(DRY_RUN),--dry-run) $(if $(PEOPLE),--people)

preview: $(READY) ## what CANDIDATE=DIR of prompts would change [COUNTRIES="NL BE"] [FIRST= LAST=] [SAMPLE=] [NOISE=1] [DRY_RUN=1]
	@$(BIN)/python -m cs_features.local.on_stack $(if $(MODEL),--model "$(MODEL)") cs_features.cli.preview \
	  $(if $(CANDIDATE),--candidate "$(CANDIDATE)") $(if $(COUNTRIES),--country $(COUNTRIES)) $(if $(FIRST),--first $(FIRST)) \
	  $(if $(LAST),--last $(LAST)) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(NOISE),--noise) $(if $(DRY_RUN),--dry-run)

backfill: $(READY) ## what days from FIRST= on would cost to run [COUNTRIES="NL BE"] [LAST=]; with YES=1 they are run, in the Dagster of `make dev` [UI_PORT=] [FOLLOW=ID] [CANCEL=ID] [RESUME=ID]
	@CS_FEATURES_UI_URL=http://127.0.0.1:$(or $(UI_PORT),3000) $(BIN)/python -m cs_features.local.on_stack \
	  $(if $(MODEL),--model "$(MODEL)") $(if $(PORT),--port $(PORT)) cs_features.cli.backfill \
	  $(if $(COUNTRIES),--country $(COUNTRIES)) $(if $(FIRST),--first $(FIRST)) $(if $(LAST),--last $(LAST)) $(if $(YES),--yes) \
	  $(if $(FOLLOW),--follow $(FOLLOW)) $(if $(CANCEL),--cancel $(CANCEL)) $(if $(RESUME),--resume $(RESUME))

preflight: $(READY) ## whether account, region and settings let it work; a line a thing that is needed [LOCAL=1]
	@$(BIN)/python -m $(if $(LOCAL),cs_features.local.on_stack) cs_features.cli.preflight

new-country: $(READY) ## a valid prompt file for COUNTRY=DE, and what else to do [LANGUAGES="de en"]
	@$(BIN)/python -m cs_features.cli.new_country "$(COUNTRY)" $(if $(LANGUAGES),--language $(LANGUAGES))

remove-country: $(READY) ## what belongs to COUNTRY=PL, counted; with YES=1 all of it is taken away [MODEL=GGUF or URL]
	@$(BIN)/python -m cs_features.local.on_stack $(if $(MODEL),--model "$(MODEL)") cs_features.cli.remove_country \
	  "$(COUNTRY)" $(if $(YES),--yes)

erase-customer: $(READY) ## what there is of CUSTOMER=c-1 (or INTERACTIONS="..."), counted; with YES=1 it is erased; AGAIN=1: what came again of who is erased [MODEL=GGUF or URL]
	@$(BIN)/python -m cs_features.local.on_stack $(if $(MODEL),--model "$(MODEL)") cs_features.cli.erase_customer \
	  $(if $(CUSTOMER),--customer "$(CUSTOMER)") $(if $(INTERACTIONS),--interaction $(INTERACTIONS)) $(if $(AGAIN),--again) $(if $(YES),--yes)

review: $(READY) ## a sheet of COUNTRY=NL's texts for a colleague to label [SIZE=50] [MONTH=YYYY-MM] [READER=1] [LANGUAGE=fr] [TEXTS="nl fr"]; FILE=X.xlsx takes it back [LATE=1] [MODEL=GGUF or URL]
	@$(BIN)/python -m cs_features.local.on_stack $(if $(MODEL),--model "$(MODEL)") cs_features.cli.review \
	  $(if $(FILE),read "$(FILE)" $(if $(COUNTRY),--country $(COUNTRY)) $(if $(LATE),--late),draw --country "$(COUNTRY)" \
	  $(if $(SIZE),--size $(SIZE)) $(if $(MONTH),--month $(MONTH)) $(if $(READER),--reader $(READER)) \
	  $(if $(LANGUAGE),--language $(LANGUAGE)) $(if $(TEXTS),--texts $(TEXTS)))

bench: $(READY) ## the benchmark table
	@$(BIN)/python -m cs_features.local.bench

deploy-check: $(READY) ## what can be proven of deploy/ without an AWS account [FULL=1: also the image and the fleet, as root, for half an hour]
	@$(BIN)/cfn-lint deploy/template.yaml
	@$(PYTEST) -n 0 cs_features_tests/deploy cs_features_tests/cli/test_preflight.py cs_features_tests/extraction/test_prompt_versions.py
	@$(MAKE) --no-print-directory preflight LOCAL=1
	@$(if $(FULL),deploy/build_locally.sh)
	@$(if $(FULL),$(BIN)/python -m cs_features.local.bench fleet)

image: ## the image of deploy/Dockerfile, with docker or buildah [TAG=]
	@$$(command -v docker || command -v buildah) build -f deploy/Dockerfile -t cs-features:$(or $(TAG),latest) .

audit: $(READY) ## known faults of the locked dependencies, where a source of advisories can be reached
	@$(BIN)/python -m cs_features.cli.audit

lint: $(READY) ## format, lint, types, import contracts, the AWS template, prompt files, tables of the docs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/cfn-lint deploy/template.yaml
	@$(BIN)/python -m cs_features.cli.lint_prompts
	@$(BIN)/python -m cs_features.cli.write_docs --check

docs: $(READY) ## write the tables of README and docs anew from the code
	@$(BIN)/python -m cs_features.cli.write_docs

format: $(READY)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# uv installs the locked versions in parallel; --no-deps because the lock file is complete, and
# because one dependency would otherwise be compiled for minutes (see [tool.uv] in pyproject.toml). Bytecode is
# made here once: where Python may not write it, every start of a run would make it again, for seconds.
$(READY): requirements.lock pyproject.toml setup.py
	@echo "Installing the locked packages into $(VENV) (once) ..."
	@test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION); }
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install -q --no-deps --compile-bytecode -r requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install -q --no-deps -e .
	@touch $(READY)

lock: ## after a change of dependencies in pyproject.toml
	@$(BIN)/uv pip compile -q pyproject.toml --all-extras --universal --python-version 3.10 --no-annotate --no-header \
	  --no-emit-index-url --no-emit-find-links -o requirements.lock
	@$(BIN)/uv pip compile -q pyproject.toml -c requirements.lock --python-platform linux --python-version 3.11 --no-annotate \
	  --no-header --no-emit-index-url --no-emit-find-links -o deploy/requirements.lock

clean: ## forget the local stack's and Dagster's state
	rm -rf .local

.PHONY: deploy-check image demo dev test test-fast test-slow evaluate calibrate preview preflight backfill new-country remove-country erase-customer review bench audit lint docs format lock clean
