# make train   set up, reconstruct a real chest with pretrained weights; then draw patients, train, score (a quarter of an hour)
# make test    set up, run every notebook and every test, open the site in a browser
# make test-gpu  on a machine with a GPU: the tests that need one (tools/gpu_check.sh adds a benchmark and a short training)
# make docs    set up, build the documentation site in _docs (npm fetches two libraries the first time; no network after that)
# make clean   remove what can be made again (never runs/, data/ or results/)
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready

export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM := false

.PHONY: setup export train test test-gpu docs clean
.DEFAULT_GOAL := train

train: setup export
	@$(BIN)/python -m xray2ct.quickstart --from-scratch

test: setup
	@sh tools/get_chromium.sh
	@XRAY2CT_TEST_FLAGS="$${XRAY2CT_TEST_FLAGS-ddp}" $(BIN)/python -m pytest tests -q --durations=15

test-gpu: setup
	@$(BIN)/python -m pytest tests/test_gpu.py -q -s --durations=10

docs: setup
	@$(BIN)/python tools/build_site.py
	@echo "look at it: $(BIN)/python -m http.server 8000 --bind 127.0.0.1 --directory _docs"

setup: $(READY)

export: setup
	@$(BIN)/nbdev_export

# The stamp carries what was installed: a changed pin or entry point installs again, an interrupted set-up starts over.
$(READY): requirements.lock settings.ini setup.py
	@echo "setting up .venv (a few minutes, once)"
	@PYTHON="$(PYTHON)" sh tools/make_venv.sh .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $(READY)

clean:
	rm -rf .venv _docs _proc _site_src _site_nbs _site_cache nbs/assets/vendor build dist *.egg-info .pytest_cache
