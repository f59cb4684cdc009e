# Redstart: `make` builds, `make run` starts the server, `make test` runs everything. Each target says what it does.

PREFIX ?= /usr/local
DESTDIR ?=
BINDIR = $(DESTDIR)$(PREFIX)/bin
CONFDIR = $(DESTDIR)$(if $(filter /usr /usr/local,$(PREFIX)),/etc/redis,$(PREFIX)/etc/redis)
LIBDIR = $(DESTDIR)$(PREFIX)/lib
UNITDIR = $(LIBDIR)/systemd/system
MANDIR = $(DESTDIR)$(PREFIX)/share/man/man1
SYSTEMD ?= yes
CARGO ?= cargo
TARGET_DIR = $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
SERVER = $(TARGET_DIR)/release/redis-server
# What the suites run against: nearly release speed, with debug and overflow assertions on.
CHECKED = $(TARGET_DIR)/quick/redis-server
# One binary; what it is called decides what it does.
LINKS = redis-check-rdb redis-check-aof redis-sentinel
JOBS ?= 2

.PHONY: build quick run test unit it differential tcl tcl-ci setup check fmt bench fuzz miri install install-systemd uninstall clean help

build: ## the release binary (default)
	$(CARGO) build --release

quick: ## the binary the suites run against: assertions on, no link-time optimisation
	$(CARGO) build --profile quick

run: build ## starts the server on port 6379 with redis.conf
	$(SERVER) redis.conf

setup: ## installs (as root) or explains what the tests need
	tests/setup

test: setup ## everything: unit, integration and differential tests, then the CI part of the official suite
	tests/all

unit: ## unit tests and tidiness only
	$(CARGO) test --lib --test tidy

it: ## integration tests only
	$(CARGO) test --test it

differential: ## replays command sequences here and on a real server, compares every reply; DIFF_SEED, DIFF_ROUNDS
	$(CARGO) test --test differential

tcl: setup quick ## the whole official suite; ARGS='unit/type/* --jobs 1' for a part, see tcl-compat/README.md
	REDSTART_BIN=$${REDSTART_BIN:-$(CHECKED)} tcl-compat/run --jobs $(JOBS) $(ARGS)

tcl-ci: setup quick ## the part of the official suite that runs in CI
	REDSTART_BIN=$${REDSTART_BIN:-$(CHECKED)} tcl-compat/run --ci --jobs $(JOBS) $(ARGS)

check: ## format, lints, types
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) check --all-targets

fmt: ## formats the source
	$(CARGO) fmt

bench: build ## CPU per request of commands and patterns beside the servers in PATH (tests/bench/run --help)
	tests/bench/run

fuzz: ## every fuzz target for FUZZ_SECONDS (600) each; needs a nightly toolchain, see SECURITY.md
	tests/fuzz $(TARGETS)

miri: ## unit tests of the files with unsafe code under Miri; needs a nightly toolchain with miri
	tests/miri

install: build ## PREFIX=/usr/local DESTDIR= ; SYSTEMD=no leaves the unit out
	install -d "$(BINDIR)" "$(CONFDIR)" "$(MANDIR)"
	install -m 755 $(SERVER) "$(BINDIR)/redis-server"
	for name in $(LINKS); do ln -sf redis-server "$(BINDIR)/$$name"; done
	test -e "$(CONFDIR)/redis.conf" || install -m 644 redis.conf "$(CONFDIR)/redis.conf"
	install -m 644 dist/redis-server.1 "$(MANDIR)/redis-server.1"
	for name in $(LINKS); do ln -sf redis-server.1 "$(MANDIR)/$$name.1"; done
	test "$(SYSTEMD)" = no || $(MAKE) --no-print-directory install-systemd

install-systemd: ## the unit, and snippets that make its user and folders
	install -d "$(UNITDIR)" "$(LIBDIR)/sysusers.d" "$(LIBDIR)/tmpfiles.d"
	sed -e 's|@BINDIR@|$(PREFIX)/bin|g' -e 's|@CONFDIR@|$(CONFDIR:$(DESTDIR)%=%)|g' dist/redstart.service > "$(UNITDIR)/redstart.service"
	install -m 644 dist/redstart.sysusers "$(LIBDIR)/sysusers.d/redstart.conf"
	install -m 644 dist/redstart.tmpfiles "$(LIBDIR)/tmpfiles.d/redstart.conf"

uninstall: ## removes what install put there; a changed redis.conf stays
	rm -f "$(BINDIR)/redis-server" $(foreach name,$(LINKS),"$(BINDIR)/$(name)" "$(MANDIR)/$(name).1") "$(MANDIR)/redis-server.1"
	rm -f "$(UNITDIR)/redstart.service" "$(LIBDIR)/sysusers.d/redstart.conf" "$(LIBDIR)/tmpfiles.d/redstart.conf"
	if cmp -s redis.conf "$(CONFDIR)/redis.conf"; then rm -f "$(CONFDIR)/redis.conf"; fi

clean: ## build output and results of the suite
	$(CARGO) clean
	rm -rf tcl-compat/results

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14
