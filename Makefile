# make demo and make test need Python, make and a package index, and do everything else themselves.

PYTHON ?= python3
PY := .venv/bin/python
INSTALLED := .venv/.installed

# Optional: a file of VGG-19 weights in torchvision's layout, and a folder of photos, for make bench and fidelity. PAINTING
# names a picture for make bench, and QUALITY=1 lets it compare what is learned in as many steps, too.
VGG19 ?= $(ONESTROKE_VGG19)
PHOTOS ?= $(ONESTROKE_PHOTOS)

# Processes that run tests; each needs up to 2 GB.
WORKERS ?= 2

.DELETE_ON_ERROR:
.PHONY: help demo check test lint fuzz styles wheel arm bench slow-bench fidelity clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/make \1|\2/p' Makefile | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

demo: $(INSTALLED)  ## train a style, export it, repaint a photo; your own with STYLE=, PHOTOS=, PHOTO=
	$(PY) -m train.demo $(if $(STYLE),--style "$(STYLE)") $(if $(filter-out file,$(origin PHOTOS)),--photos "$(PHOTOS)") \
	  $(if $(PHOTO),--photo "$(PHOTO)") $(if $(AGAIN),--again)

# One thread each: tests are too small to gain from more, and processes with more would wait for one another.
TESTS := OMP_NUM_THREADS=1 $(PY) -m pytest -rs -n $(WORKERS) --dist loadfile

check: lint  ## style, types, layers, and the fast tests; WORKERS=N sets how many processes (default: 2)
	$(TESTS) -m "not slow and not browser and not weights"

test: lint  ## style, types, layers, and all tests; WORKERS=N sets how many processes (default: 2)
	$(TESTS)

lint: $(INSTALLED)  ## style, types and layers alone
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports

fuzz: $(INSTALLED)  ## attack every command with mutated files and lines; KIND=, COUNT=, SEED=, FIRST=, KEEP=
	OMP_NUM_THREADS=1 $(PY) -m tests.fuzz --seed $(or $(SEED),0) --first $(or $(FIRST),0) $(addprefix --kind ,$(KIND)) \
	  $(if $(COUNT),--count $(COUNT)) $(if $(KEEP),--keep "$(KEEP)")

styles: $(INSTALLED)  ## export the kept styles with 8-bit weights into models/pretrained/onnx/, for the wheel
	$(PY) -m export.package.ready

wheel: $(INSTALLED)  ## build the package into dist/: wheel and source archive
	rm -rf dist
	$(PY) -m hatchling build

arm: wheel  ## repaint a photo on an emulated 64-bit ARM processor; needs qemu-user-static and debootstrap; PHOTO=, CPU=
	$(PY) -m tests.package.arm dist/*.whl $(if $(PHOTO),--photo "$(PHOTO)") $(if $(CPU),--cpu "$(CPU)")

bench: $(INSTALLED)  ## measure the training against the reference; with VGG19 and PHOTOS, and PAINTING or a drawn one, also the time to quality
	$(PY) -m train.bench $(if $(VGG19),--perceptual-weights "$(VGG19)") $(if $(PHOTOS),--photos "$(PHOTOS)") $(if $(QUALITY),--quality) \
	  $(if $(VGG19),$(if $(PHOTOS),--time-to-quality $(if $(PAINTING),--painting "$(PAINTING)")))

slow-bench: $(INSTALLED)  ## measure the slow mode, coarse to fine against plain L-BFGS; needs CONTENT and STYLE
	$(PY) -m train.slow.benchmark --content "$(CONTENT)" --style "$(STYLE)" $(if $(VGG19),--perceptual-weights "$(VGG19)")

fidelity: $(INSTALLED)  ## examine the small perceptual network; needs VGG19, PHOTOS and PAINTINGS it was not trained on
	$(PY) -m train.distill.evaluate --paintings $(PAINTINGS) --photos "$(PHOTOS)" --styles models/pretrained/wave.safetensors models/pretrained/starry_night.safetensors \
	  $(if $(VGG19),--perceptual-weights "$(VGG19)") $(if $(AGAIN),--overwrite)

# Dependencies only: the checkout is run in place. The stamp comes last, so whatever is interrupted is done again, and an
# environment that cannot run pip, because its making was interrupted or its Python is gone, is made anew.
$(INSTALLED): pyproject.toml export/package/requirements.py
	@rm -f $(INSTALLED)
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(PY) export/package/requirements.py train video samples judge heif ray dev > .venv/requirements.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --requirement .venv/requirements.txt
	touch $(INSTALLED)

clean:  ## remove what was built, but no run
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
