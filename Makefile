# Two commands for people: `make demo` and `make test`. Both make the environment themselves.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow test-android test-ios runner format lock serve migration

demo: .venv/.ready
	@$(BIN)/python scripts/demo.py

# What measures or counts by the second on this computer has it for itself.
ALONE := tests/e2e/test_main_job.py tests/e2e/test_many_agents.py tests/e2e/test_no_loss.py \
	tests/e2e/test_own_space.py tests/server/test_many_writers.py
TOGETHER := -n 2 $(ALONE:%=--ignore %)
test: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest $(TOGETHER)
	$(BIN)/pytest $(ALONE)

# The other half of the tests, marked slow.
KILLS ?= 5
test-slow: .venv/.ready
	$(BIN)/pytest -m slow $(TOGETHER)
	$(BIN)/pytest -m slow --kills $(KILLS) $(ALONE)

# The runner for phones in an emulated phone; needs packages, which .ci/android.sh installs.
test-android: .venv/.ready
	$(BIN)/pytest -m android tests/android

# The iPhone app's core on this computer; needs Swift and packages, which .ci/ios.sh installs.
test-ios: .venv/.ready
	device_agent/ios_app/build-linux.sh test
	device_agent/ios_app/build-linux.sh
	$(BIN)/pytest -m "" tests/ios

.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Phonebook needs Python 3.11 or newer: make PYTHON=python3.11 ..."; exit 2; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv \
		|| { echo "no venv here; on Debian: apt-get install python3-venv"; exit 2; }
	@echo "installing into .venv (about two minutes the first time)"
	@$(BIN)/pip install -qq -c constraints.txt -e '.[server,agent,search,onnx,tensorboard,dev]'
	@touch $@

# The native runner builds itself on first use; this builds it now and says where, or why not.
runner: .venv/.ready
	@$(BIN)/python -m device_agent.runner.build

serve: .venv/.ready
	$(BIN)/python -m server

format: .venv/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A new migration from what tables.py declares: make migration name=add_units
migration: .venv/.ready
	$(BIN)/alembic revision --autogenerate -m "$(name)"

# Needs uv, for its universal resolution; nothing else here does.
lock:
	uv pip compile pyproject.toml --universal --all-extras -q -o constraints.txt \
		--custom-compile-command "make lock"
