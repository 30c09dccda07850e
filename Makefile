# The course in commands: `make course` builds, releases, grades a sample class; `make test` tests it all.
# Everything is made inside this folder: the environment in .venv, the rest in _build.

PYTHON ?= python3
BIN := .venv/bin
SAMPLE := _build/sample-class
# The class that `make grade` grades: a folder with submitted/<student>/<assignment>/<notebook>.ipynb
CLASS ?= class
SITE := _build/html/book/index.html

PAGES := $(wildcard _config.yml _toc.yml book/*.md book/*/*.md book/*.bib book/redirects.txt book/_static/* book/_ext/*.py \
	book/_templates/* book/vendor/*.py book/vendor/*.json)
LIBRARY := $(wildcard book/attend/*.py book/attend/*.css book/attend/*.js book/attend/measured/*.csv)
SOURCES := $(wildcard solutions/*/*.md)
EXERCISES := $(wildcard exercises/*/*.ipynb)
GRADER := nbgrader_config.py $(wildcard autograder/*.py autograder/*/*.py autograder/*/*.j2 autograder/*/*.css autograder/*/*/*.py)
BANK := $(wildcard tests/bank/*/*/*.py)

.PHONY: course env book exercises sample grade test test-without-book attacks bench lint lock clean
.DELETE_ON_ERROR:

course: exercises book sample
	@echo
	@echo "The book:          $(CURDIR)/$(SITE)"
	@echo "The exercises:     $(CURDIR)/exercises"
	@echo "The sample class:  $(CURDIR)/$(SAMPLE)"
	@echo "  its grades:      $(CURDIR)/$(SAMPLE)/grades.csv"
	@echo "  its feedback:    $(CURDIR)/$(SAMPLE)/feedback"
	@for report in $(SAMPLE)/report-*.html; do echo "  its report:      $(CURDIR)/$$report"; done

env: .venv/ready

.venv/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

book: $(SITE)

# All pages are written again (--all), from the cache of executed cells: Sphinx tells a warning only for the
# pages that it writes, so a second try after a failure would otherwise pass.
$(SITE): $(PAGES) $(LIBRARY) _build/released requirements.txt | .venv/ready
	$(BIN)/python -m book.extract_library --check
	@$(BIN)/python -m book.vendor.fetch || true # says what is missing; the book is complete without
	$(BIN)/jupyter-book build . -W --keep-going --all
	@touch $@

exercises: _build/released

_build/released: $(SOURCES) $(EXERCISES) $(GRADER) | .venv/ready
	$(BIN)/autograder release --class $(SAMPLE)
	@touch $@

sample: $(SAMPLE)/graded

$(SAMPLE)/graded: _build/released $(BANK) | .venv/ready
	$(BIN)/autograder sample --class $(SAMPLE)
	$(MAKE) --no-print-directory grade CLASS=$(SAMPLE)
	@touch $@

grade: env
	$(BIN)/autograder grade --class $(CLASS)
	$(BIN)/autograder feedback --class $(CLASS)
	$(BIN)/autograder export --class $(CLASS)
	$(BIN)/autograder report --class $(CLASS)

# The book is built while what does not need it is tested. One thread each: several would wait for each other.
test: export OMP_NUM_THREADS = 1
test: env lint exercises
	$(MAKE) --no-print-directory --jobs=2 book test-without-book
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/book

test-without-book: env
	$(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/book --ignore tests/attacks --ignore tests/autograder/faults --ignore tests/slow

# Hostile hand-ins, runs killed at random points, the whole cpu preset: some minutes on a machine that does
# nothing else meanwhile.
attacks: env
	$(BIN)/python -m pytest tests/attacks tests/autograder/faults tests/slow

# All figures, or ONLY=<name>; each row goes into _build/bench.json. See docs/benchmarks.md.
bench: env $(if $(ONLY),,book)
	$(BIN)/python -m tests.benchmarks $(ONLY)

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Pin what pyproject.toml asks for, as resolved today. PyTorch's build (CPU, CUDA) is the machine's own.
lock:
	rm -rf .venv && $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[book,grader,lab,postgresql,test]'
	echo "# The pinned environment of the course: \`make lock\` writes it." > requirements.txt
	$(BIN)/python -m pip freeze --exclude-editable | grep -v '^nvidia\|^triton\|^cuda' | sed 's/^\(torch==[^+]*\).*/\1/' >> requirements.txt

clean:
	rm -rf _build
