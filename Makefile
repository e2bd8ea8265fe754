# Everything here needs Python and make, nothing else: each target makes the environment it runs in.
PYTHON ?= python3
# More than two cores would ask for: many tests wait most of their time. Each worker takes six seconds to start.
TESTS_AT_ONCE ?= 6
NEWEST := 3.3.2
MATRIX := 2.11.2 3.0.6 3.1.8 3.2.2 $(NEWEST) 3.4.0b2
BENCHMARKS := distance delivery reservation kills accounts overhead alerts alerts_beside import_errors lists page_beside \
	scale compared

# The oldest and the newest Python that each Airflow takes.
PYTHON_FOR_2.11.2 := 3.10 3.12
PYTHON_FOR_3.0.6 := 3.10 3.12
PYTHON_FOR_3.1.8 := 3.10 3.13
PYTHON_FOR_3.2.2 := 3.10 3.14
PYTHON_FOR_3.3.2 := 3.10 3.14
PYTHON_FOR_3.4.0b2 := 3.11 3.14

# .venv holds the newest Airflow, .venv-2.11.2 and so on the others of the matrix.
venv = .venv$(if $(filter-out $(NEWEST),$(1)),-$(1))
# Its Python's version is in the name, so that another PYTHON=... does not meet the environment of the one before.
python_version := $(shell $(PYTHON) -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>&1)
installed = $(call venv,$(1))/.installed-$(lastword $(python_version))
compiled = $(call venv,$(1))/.compiled-$(lastword $(python_version))
bin := $(call venv,$(NEWEST))/bin
# What builds the packages is in an environment of its own, and each file in it has a known hash.
building := .venv-build/.installed-$(lastword $(python_version))
building_bin := .venv-build/bin
# What builds the documentation and checks the packages needs no Airflow.
publishing := .venv-publish/.installed-$(lastword $(python_version))
publishing_bin := .venv-publish/bin
# FAB does not go together with the packages of airflow-$(NEWEST).txt.
fab := .venv-fab/.installed-$(lastword $(python_version))
fab_bin := .venv-fab/bin
# The tracers, in an environment without Airflow.
tracers := .venv-tracers/.installed-$(lastword $(python_version))
# Ends whatever is left when the command has ended or make was terminated: schedulers, databases, their children.
guarded = $(1)/bin/python -m tools.guard $(1)/bin/python
# Without its bytecode each of a hundred processes of the tests would compile Airflow anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo ui pictures test test-matrix coverage test-celery test-fab test-tracers $(MATRIX:%=test-%) fuzz mutate bench docs build lint format constraints $(MATRIX:%=constraints-%) clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "make test-$(firstword $(MATRIX))    the same for one version: $(MATRIX)"
	@echo "Say PYTHON=... for another Python than python3, ARGS=... for more arguments to pytest."

demo: $(call installed,$(NEWEST)) ## send messages from example DAGs through a real Airflow to a local DialogTech
	@$(call guarded,$(call venv,$(NEWEST))) -m demo

ui: $(call installed,$(NEWEST)) ## the same, left running until Ctrl-C, to look around in Airflow and in the inbox (CLUSTER=1: with Celery)
	@$(call guarded,$(call venv,$(NEWEST))) -m $(if $(CLUSTER),tests.celery,demo --stay)

pictures: $(call installed,$(NEWEST)) ## take the pictures of the documentation from a real Airflow (a minute; needs Chromium)
	@$(call guarded,$(call venv,$(NEWEST))) -m tests.pictures

test: test-$(NEWEST) ## all tests on the newest Airflow

test-matrix: ## all tests on every supported Airflow
	@failed=; \
	for version in $(MATRIX); do $(MAKE) --no-print-directory test-$$version || failed="$$failed $$version"; done; \
	for version in $(MATRIX); do \
		case " $$failed " in *" $$version "*) echo "Airflow $$version: failed" ;; *) echo "Airflow $$version: passed" ;; esac; \
	done; \
	test -z "$$failed"

coverage: ## `make test`, and what it covers of the package; less than 95 % fails (half a minute longer)
	@rm -rf .coverage
	@$(MAKE) --no-print-directory test ARGS="-p tests.coverage.plugin $(ARGS)"
	@$(bin)/python -m slipcover --skip-covered --merge .coverage/*.json --out .coverage.json --fail-under 95

test-celery: $(call installed,$(NEWEST)) ## a distributed Airflow with two Celery workers, killed and crashed (some 3 minutes)
	$(call guarded,$(call venv,$(NEWEST))) -m pytest -m celery tests/celery $(ARGS)

test-fab: $(fab) ## the page Messages in an API server with the FAB auth manager (a minute; Python 3.11 or newer)
	$(call guarded,.venv-fab) -m pytest tests/api_server/test_fab.py $(ARGS)

test-tracers: $(call installed,$(NEWEST)) $(tracers) ## what Sentry, OpenTelemetry and Datadog keep of a request: nothing (some 10 seconds)
	DIALOGTECH_TRACERS=sentry,opentelemetry,ddtrace DIALOGTECH_TRACERS_PYTHON=.venv-tracers/bin/python \
		$(bin)/python -m pytest tests/hostile/test_instrumentation.py -k tracer $(ARGS)

fuzz: $(call installed,$(NEWEST)) ## attack inputs and replies with many more examples than the tests do (some 10 minutes)
	HYPOTHESIS_PROFILE=fuzz $(call guarded,$(call venv,$(NEWEST))) -m pytest tests/hostile --timeout 0 $(ARGS)

bench: $(call installed,$(NEWEST)) ## repeat the measurements of docs/performance.md; leave the machine alone for an hour
	@$(bin)/uv pip install --quiet --python $(bin)/python -c constraints/airflow-$(NEWEST).txt --group bench
	@for name in $(BENCHMARKS); do echo "== $$name"; $(bin)/python -m benchmarks.$$name || exit; done

mutate: $(call installed,$(NEWEST)) ## break the code at random and name what no test notices (an hour)
	@$(bin)/uv pip install --quiet --python $(bin)/python -c constraints/airflow-$(NEWEST).txt --group mutate
	$(call guarded,$(call venv,$(NEWEST))) -m tools.mutate $(ARGS)

docs: $(publishing) ## build the documentation's site into site/; a wrong link is an error
	NO_MKDOCS_2_WARNING=1 $(publishing_bin)/mkdocs build --strict --quiet

build: $(building) $(publishing) ## build the wheel and the sdist into dist/, and check their contents
	rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(building_bin)/uv build --quiet --no-build-isolation \
		--python $(building_bin)/python --out-dir dist
	$(publishing_bin)/twine check --strict dist/*.whl dist/*.tar.gz
	$(publishing_bin)/check-wheel-contents dist/*.whl

lint: $(call installed,$(NEWEST)) ## style, types, the direction of imports, and the workflows
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/lint-imports
	$(bin)/zizmor --offline --quiet .github

format: $(call installed,$(NEWEST)) ## write the code in the one style
	$(bin)/ruff check --fix .
	$(bin)/ruff format .

constraints: $(MATRIX:%=constraints-%) ## look up the newest packages that go together with each Airflow, on the oldest Python it takes
	@$(bin)/uv pip compile --quiet --upgrade --python-version 3.11 --extra postgres --extra sandbox --group dev --no-header --no-annotate \
		--output-file constraints/airflow-$(NEWEST)-fab.txt pyproject.toml constraints/tools.in constraints/airflow-$(NEWEST)-fab.in
	@echo "uv" | $(bin)/uv pip compile --quiet --upgrade --python-version 3.10 --no-header --no-annotate \
		--group publish --group docs --output-file constraints/publish.txt -
	@$(bin)/uv pip compile --quiet --upgrade --python-version 3.10 --no-header --no-annotate \
		--group tracers --output-file constraints/tracers.txt
	@$(bin)/uv pip compile --quiet --upgrade --python-version 3.10 --no-header --no-annotate --generate-hashes \
		--group build --output-file constraints/build.txt

$(building): constraints/build.txt
	@$(PYTHON) -m venv --clear .venv-build
	@$(building_bin)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
		-r constraints/build.txt
	@touch $@

$(fab): pyproject.toml constraints/airflow-$(NEWEST)-fab.txt
	@$(PYTHON) -m venv --clear .venv-fab
	@$(fab_bin)/python -m pip install --quiet --disable-pip-version-check -c constraints/airflow-$(NEWEST)-fab.txt uv
	@$(fab_bin)/uv pip install --quiet --python $(fab_bin)/python -c constraints/airflow-$(NEWEST)-fab.txt \
		apache-airflow==$(NEWEST) apache-airflow-providers-fab -e '.[postgres,sandbox]' --group dev
	@touch $@

$(publishing): pyproject.toml constraints/publish.txt
	@$(PYTHON) -m venv --clear .venv-publish
	@$(publishing_bin)/python -m pip install --quiet --disable-pip-version-check -c constraints/publish.txt uv
	@$(publishing_bin)/uv pip install --quiet --python $(publishing_bin)/python -c constraints/publish.txt --group publish --group docs
	@touch $@

$(tracers): pyproject.toml constraints/tracers.txt $(call installed,$(NEWEST))
	@$(PYTHON) -m venv --clear --without-pip .venv-tracers
	@$(bin)/uv pip install --quiet --python .venv-tracers/bin/python -c constraints/tracers.txt --group tracers
	@touch $@

clean: ## remove the environments and whatever was written while running
	rm -rf .venv* .demo dist site .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

define environment
$(call installed,$(1)): pyproject.toml constraints/airflow-$(1).txt
	@$$(PYTHON) -c 'import sys; \
	have, versions = sys.version_info[:2], "$(PYTHON_FOR_$(1))".split(); \
	oldest, newest = (tuple(int(part) for part in version.split(".")) for version in versions); \
	sys.exit(0 if oldest <= have <= newest else "Airflow $(1) needs Python %s to %s, and this is %d.%d. " \
	"Name another one: make PYTHON=/path/to/python3 ..." % (*versions, *have))'
	@echo "Installing Airflow $(1) into $(call venv,$(1))"
	@$$(PYTHON) -m venv --clear $(call venv,$(1))
	@$(call venv,$(1))/bin/python -m pip install --quiet --disable-pip-version-check -c constraints/airflow-$(1).txt uv
	@$(call venv,$(1))/bin/uv pip install --quiet --python $(call venv,$(1))/bin/python -c constraints/airflow-$(1).txt \
		apache-airflow==$(1) -e '.[postgres,sandbox]' --group dev
	@touch $$@

# One process compiles what the tests import; those that start at once would each do it.
$(call compiled,$(1)): $(call installed,$(1))
	@$(call venv,$(1))/bin/python -m pytest --collect-only -qq > /dev/null 2>&1 || true
	@touch $$@

constraints-$(1): $(call installed,$(NEWEST))
	@echo "constraints/airflow-$(1).txt"
	@$(bin)/uv pip compile --quiet --upgrade --python-version $(firstword $(PYTHON_FOR_$(1))) --all-extras --group dev --group bench \
		--group mutate --no-header --no-annotate --output-file constraints/airflow-$(1).txt \
		pyproject.toml constraints/tools.in constraints/airflow-$(1).in

test-$(1): $(call compiled,$(1))
	$(call guarded,$(call venv,$(1))) -m pytest -n $$(TESTS_AT_ONCE) $$(ARGS)
endef
$(foreach version,$(MATRIX),$(eval $(call environment,$(version))))
