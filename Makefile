# make build     target/release/libtriveni.so, target/release/triveni, and .venv with the Python package
# make demo      the temperature monitoring system, in three languages (DEMO="--seconds 20 --monitor python")
# make test      every check, by tests/check (CHECKS="unit matrix" for some)
# make install   headers, libraries and the command under PREFIX (/usr/local); DESTDIR in front of it
# make kill-matrix  SIGKILL at every step of every operation, ours and our peers', as a table in docs/kill-matrix.md
# make versus    triveni beside its rivals, as a table and a plot in docs (VERSUS="--only ring,iceoryx2 --quick")
# make soak      the random tests for long (SOAK=10 times as long as by default)
# make bench     benchmarks;  make fmt  formats the sources;  make clean  removes all that was made
#
# Needed: Rust (cargo), gcc, make, Python 3.11 or later. The rest is fetched by the target that needs it.

PREFIX ?= /usr/local
DESTDIR ?=
PYTHON ?=
DEMO ?=
SOAK ?= 10
CHECKS ?=
VERSUS ?= --write

# The promised places are in this folder, wherever cargo would put them by itself.
export CARGO_TARGET_DIR := $(CURDIR)/target

release := target/release
sources := $(shell find core/src ffi-c cli/src examples/temperature python include Cargo.toml Cargo.lock pyproject.toml \
             -type f -not -name '*.so*' -not -name '*.a' -not -path '*/kit/*' -not -path '*/__pycache__/*' 2>/dev/null)

.PHONY: build native demo test install kill-matrix versus soak bench fmt clean
.DELETE_ON_ERROR:

build: native .venv/.installed

# cargo knows best what is out of date. The soname's link makes programs run from the build tree.
native:
	@sh tests/setup tools cargo cc
	cargo build --release -p triveni-ffi-c -p triveni-cli
	@ln -sf libtriveni.so $(release)/libtriveni.so.0

.venv/.created: tests/setup
	@sh tests/setup venv .venv "$(PYTHON)"
	@touch $@

.venv/.installed: .venv/.created $(sources)
	.venv/bin/maturin build --quiet --release --interpreter .venv/bin/python --out target/wheels/new
	.venv/bin/pip install --quiet --disable-pip-version-check --force-reinstall --no-deps target/wheels/new/*.whl
	@mv target/wheels/new/*.whl target/wheels/ && rmdir target/wheels/new
	@touch $@

demo: build
	$(release)/triveni demo $(DEMO)

test: build
	sh tests/check $(CHECKS)

install: native
	sh ffi-c/kit.sh $(DESTDIR)$(PREFIX) $(release)
	install -D -m 755 $(release)/triveni $(DESTDIR)$(PREFIX)/bin/triveni

kill-matrix: build
	sh kill-matrix/run --write
	sh kill-matrix/exact --write

versus:
	sh versus/run $(VERSUS)

soak: build
	sh tests/soak $(SOAK)

bench:
	@sh tests/setup tools cargo cc
	cargo bench -p triveni

fmt:
	cargo fmt --all

clean:
	rm -rf target .venv dist python/triveni/kit python/triveni/*.so
