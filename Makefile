# `make demo` and `make photos` show Lamplighter at work, with torch and without; `make test` checks it.
PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed
LIGHT := .venv-light/bin
LIGHT_STAMP := .venv-light/.installed
# Compiled files are kept, which many containers forbid: each command would compile anew.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo photos test test-slow test-light test-converters format labs labs-check lock benchmarks clean docs

demo: $(STAMP)
	@test -f digits.lamp || $(BIN)/lamplighter train mnist --out digits.lamp
	@$(BIN)/lamplighter info digits.lamp | sed -n '/^network/p; /^test score/{N;p}'
	@test -d digits || $(BIN)/lamplighter data digits digits > /dev/null
	@$(BIN)/lamplighter predict digits.lamp digits/digit-3.jpg
	@echo "Next: $(BIN)/lamplighter predict digits.lamp digits/* --show-input seen"
	@echo "      $(BIN)/lamplighter evaluate digits.lamp mnist"

# Photos need no torch: an environment of half a gigabyte rather than six.
photos: $(LIGHT_STAMP)
	@test -d emoji || $(LIGHT)/lamplighter data emoji emoji > /dev/null
	@test -f photos.lamp || $(LIGHT)/lamplighter transfer emoji --out photos.lamp
	@$(LIGHT)/lamplighter predict photos.lamp emoji/test/bird/rooster.png
	@$(LIGHT)/lamplighter embed emoji --index photos.index
	@test -f similar.png || $(LIGHT)/lamplighter similar photos.index emoji/test/bird/rooster.png -k 11 --sheet similar.png
	@echo "Next: look at similar.png, and put photos of your own into a folder for each class:"
	@echo "      $(LIGHT)/lamplighter transfer FOLDER --out my.lamp"

# Two processes of one thread each: threads that wait for one another beside another process spin.
test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

# What takes longer than the default run allows.
test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

# What the base install does alone, in an environment without torch.
test-light: $(LIGHT_STAMP)
	$(LIGHT)/pip install --quiet --disable-pip-version-check --constraint requirements.lock pytest
	$(LIGHT)/python -m pytest -m light tests/light

# LiteRT and Core ML, of which Lamplighter itself needs neither, in an environment of their own.
test-converters: $(STAMP)
	test -d .venv-converters || $(BIN)/python -m venv .venv-converters
	$(BIN)/python -c 'import site; print(f"import site; site.addsitedir({site.getsitepackages()[0]!r})")' \
	  > $$(.venv-converters/bin/python -c 'import site; print(site.getsitepackages()[0])')/project.pth
	.venv-converters/bin/pip install --quiet --disable-pip-version-check --constraint requirements.lock ai-edge-litert coremltools
	.venv-converters/bin/python -m pytest -m converters tests/saving

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The notebooks in labs/ from their sources in labs/src; the solved ones are run where their code
# changed.
labs: $(STAMP)
	$(BIN)/python -m lamplighter.teaching.making

# Fails where what is generated is stale; make test does the same.
labs-check: $(STAMP)
	$(BIN)/python -m lamplighter.teaching.making --check

# Pins every package anew, after the ranges in pyproject.toml changed.
lock:
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --editable '.[train,labs,dev,docs]'
	.venv-lock/bin/pip freeze --exclude-editable > requirements.lock
	rm -rf .venv-lock

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python 3.11 with venv is needed: apt-get install python3.11-venv"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

$(LIGHT_STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python 3.11 with venv is needed: apt-get install python3.11-venv"; exit 1; }
	@test -x $(LIGHT)/pip || $(PYTHON) -m venv --clear .venv-light
	$(LIGHT)/pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable .
	@touch $(LIGHT_STAMP)

clean:
	rm -rf .venv .venv-light .venv-converters

# Every figure in benchmarks/RESULTS.md; hours on two cores, with nothing else running. Those on
# photos are measured on a folder of your own: make benchmarks PHOTOS=FOLDER.
benchmarks: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	for script in start_up trial_overhead lab_recipe quick_recipe best_recipe digit_finder index_search \
	  explaining maximising studio; do $(BIN)/python benchmarks/$$script.py || exit 1; done
	if [ -n "$(PHOTOS)" ]; then for script in embedding transfer backbones cores frozen_cut serving; do \
	  $(BIN)/python benchmarks/$$script.py "$(PHOTOS)" || exit 1; done; fi

# The documentation as a site, in build/site; fails on a broken link, a page that is not in nav, and a
# public name without a docstring (with --quiet it would not). Its pictures: docs/draw_pictures.py.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "Next: open build/site/index.html"
