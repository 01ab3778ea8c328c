# Two commands do everything on a fresh machine: make demo, make test.

PYTHON ?= python3
PY := .venv/bin/python
INSTALLED := .venv/.installed

# Optional: a file of VGG-19 weights in torchvision's layout, and a folder of photos, for make bench and fidelity.
VGG19 ?= $(ONESTROKE_VGG19)
PHOTOS ?= $(ONESTROKE_PHOTOS)

.PHONY: demo test bench slow-bench fidelity lint clean

demo: $(INSTALLED)  ## train a style, export it, repaint a photo; your own with STYLE=, PHOTOS=, PHOTO=
	$(PY) -m train.demo $(if $(STYLE),--style "$(STYLE)") $(if $(filter-out file,$(origin PHOTOS)),--photos "$(PHOTOS)") \
	  $(if $(PHOTO),--photo "$(PHOTO)") $(if $(AGAIN),--again)

test: lint  ## style, types, layers, and all tests
	$(PY) -m pytest

lint: $(INSTALLED)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports

bench: $(INSTALLED)  ## measure the training step against the reference; QUALITY=1 compares what is learned, too
	$(PY) -m train.bench $(if $(VGG19),--perceptual-weights "$(VGG19)") $(if $(PHOTOS),--photos "$(PHOTOS)") $(if $(QUALITY),--quality)

slow-bench: $(INSTALLED)  ## measure the slow mode, coarse to fine against plain L-BFGS; needs CONTENT and STYLE
	$(PY) -m train.slow.benchmark --content "$(CONTENT)" --style "$(STYLE)" $(if $(VGG19),--perceptual-weights "$(VGG19)")

fidelity: $(INSTALLED)  ## examine the small perceptual network; needs VGG19, PHOTOS and PAINTINGS it was not trained on
	$(PY) -m train.distill.evaluate --paintings $(PAINTINGS) --photos "$(PHOTOS)" --styles models/pretrained/wave.safetensors models/pretrained/starry_night.safetensors \
	  $(if $(VGG19),--teacher-weights "$(VGG19)") $(if $(AGAIN),--overwrite)

$(INSTALLED): pyproject.toml
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check ".[dev,samples,judge]"
	rm -rf build onestroke.egg-info
	touch $(INSTALLED)

clean:  ## remove what was built, but no run
	rm -rf .venv build demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
