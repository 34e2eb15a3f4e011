# make demo   one set-up, the weights, and an answer about a sample video
# make test   the same set-up, then lint, types and the whole suite, on up to four cores; plain `pytest -q` takes one
# make lite   trains the lite that ships from the beginning; GPUS says how many there are, SETTINGS what is to differ,
#             as in SETTINGS="--set steps=20 --set until=0 --set data.bank=40", to see all of it run in minutes
# Needs Python 3.11 to 3.13 with venv and pip; nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ROOMS := cli kernels temporal video_llm weights

GPUS ?= 2

.PHONY: demo test setup lint format clean lite

demo: setup
	$(BIN)/tvu models pull scout lite
	$(BIN)/tvu ask samples/postcard.mp4 "when do we see the penguin?"

test: lint
	$(BIN)/tvu models pull scout lite smollm2-135m
	@# What measures time, or wants the machine to itself, follows alone, also when something before it failed.
	@# An interruption, which pytest tells with a 2, ends both.
	$(BIN)/pytest -q -n auto --dist worksteal -m "not alone"; code=$$?; \
	test $$code -ne 2 && $(BIN)/pytest -q -m alone && exit $$code

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "tvu needs Python 3.11 to 3.13; set PYTHON=python3.12 or so")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -e '.[dev]'
	$(BIN)/pip install -q --force-reinstall --no-deps opencv-python-headless  # or the desktop build, which needs libGL, may win
	mkdir -p $(VENV)/types && ln -sfn ../.. $(VENV)/types/tvu  # the rooms as `tvu.*`, for the type checker
	touch $@

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	MYPYPATH=$(VENV)/types $(BIN)/mypy $(addprefix -p tvu.,$(ROOMS))

lite: setup
	$(BIN)/tvu models pull scout lite smollm2-135m
	test -e assets.safetensors || $(BIN)/python -P -m tvu.video_llm.training.assets --out assets.safetensors
	$(BIN)/tvu train samples/train.toml --set stage='"motion"' --set out='"runs/motion"' --set data.assets='"assets.safetensors"' $(SETTINGS)
	$(BIN)/torchrun --nproc-per-node $(GPUS) --no-python $(BIN)/tvu train samples/lite-start.toml $(SETTINGS)
	$(BIN)/torchrun --nproc-per-node $(GPUS) --no-python $(BIN)/tvu train samples/lite-more.toml $(SETTINGS)
	$(BIN)/tvu train samples/lite-early.toml $(SETTINGS)
	for seed in 11 12 13 14; do $(BIN)/tvu train samples/lite-many.toml --set seed=$$seed --set out="\"runs/lite-$$seed\"" \
		--set data.rough=$$(if [ $$((seed % 2)) = 0 ]; then echo 0.5; else echo 0; fi) $(SETTINGS) || exit 1; done
	$(BIN)/tvu train samples/lite-mean.toml $(SETTINGS)
	for link in 21:mean:1041 22:mean:1043 23:21:1170 24:22:1145 25:23:672 26:24:666; do \
		set -- $$(echo $$link | tr : ' '); $(BIN)/tvu train samples/lite-again.toml --set seed=$$1 --set out="\"runs/lite-$$1\"" \
		--set start="\"runs/lite-$$2/model.safetensors\"" --set until=$$3 \
		--set data.rough=$$(if [ $$(($$1 % 2)) = 0 ]; then echo 0.5; else echo 0; fi) $(SETTINGS) || exit 1; done
	$(BIN)/tvu train samples/lite-all.toml $(SETTINGS)
	$(BIN)/tvu train samples/lite-hands.toml $(SETTINGS)
	$(BIN)/tvu train samples/lite.toml $(SETTINGS) --export my-lite

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info
