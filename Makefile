# Makefile of Tycho: plain GNU make, not recursive except for the sanitizer builds, which are the
# same rules with another BUILD and SANITIZE, and for the bench.
#
#   build/libtycho.so.0      the engine        build/lua/tycho/*.so   the Lua modules
#   build/libtycho.a         the same          build/spec/*           C test programs
#   build/libtycho_rpc.so.0  the dispatcher    build/tycho-bench      the bench
#   build/libtycho_scripts.so.0  the script host, with a Lua of its own inside
#   ./tycho                  the command, which runs in place
#
# Sources are found by wildcard; headers by the compiler (-MMD). CFLAGS, CPPFLAGS, LDFLAGS and
# LDLIBS are yours: what the code itself needs is in TYCHO_*. When a compiler warns about more than
# gcc 12 and clang 14 do, as gcc does by mistake with sanitizers: `make WERROR=`.

CC ?= cc
CLANG ?= clang
AR ?= ar
LD ?= ld
OBJCOPY ?= objcopy
LUA ?= lua5.4
PKG_CONFIG ?= pkg-config
INSTALL ?= install
CFLAGS ?= -O2 -g
WERROR ?= -Werror

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
LUA_CMOD ?= $(LIBDIR)/lua/5.4
LUA_LMOD ?= $(PREFIX)/share/lua/5.4

BUILD ?= build
SANITIZE ?=
TIME ?= 60
ROUNDS ?= 20
SEED ?=
FILE ?=
DEMO ?= build/demo

VERSION := $(shell sed -n 's/^.define TYCHO_VERSION "\(.*\)"/\1/p' engine/tycho.h)
SOVERSION := 0

TYCHO_CPPFLAGS := -D_GNU_SOURCE -Iengine -Ibindings/msgpack -Ibindings/lua -Ibindings/lua/host \
  -Ibindings/lua/sandbox -Ibindings/rpc
TYCHO_CFLAGS := -std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes \
  -Wmissing-prototypes -Wvla $(WERROR) -fPIC -fno-plt -fvisibility=hidden -pthread
TYCHO_LDFLAGS := -pthread -Wl,--as-needed
ifneq ($(SANITIZE),)
# Builds for tests settle (engine/settle.c) after every few events, not after many thousands, and
# take stores of a few pages for large ones, and fewer for very large ones (engine/guard.h).
TYCHO_CPPFLAGS += -DTYCHO__DUE_ENTRIES=7 -DTYCHO__KEPT_LISTS=64 -DTYCHO__INSPECT_PAGES=60 \
  -DTYCHO__MARKS_MOST=50 -DTYCHO__LARGE_PAGES=50
TYCHO_CFLAGS += -fsanitize=$(SANITIZE) -fno-sanitize-recover=undefined -fno-omit-frame-pointer
TYCHO_LDFLAGS += -fsanitize=$(SANITIZE)
else
NO_UNDEFINED := -Wl,-z,defs
endif

# gcc clears structures with `rep stos`, which takes longer to begin than stores would for all of
# them (measured: 40 ns of 1,000 an event with four linkers).
CLEARING := -mmemset-strategy=unrolled_loop:256:noalign,libcall:-1:noalign
CLEARING_IF_KNOWN = $(eval CLEARING_IF_KNOWN := $$(shell \
  $(CC) $(CLEARING) -E -x c /dev/null >/dev/null 2>&1 && echo $(CLEARING)))$(CLEARING_IF_KNOWN)

# Asked when they are needed, because `deps` may have to install them first.
packages = $(PKG_CONFIG) $(1)
ENGINE_LIBS = $$($(call packages,--libs libxxhash libzstd))
LMDB_ARCHIVE = $$($(call packages,--variable=libdir lmdb))/liblmdb.a
LMDB_LIBS = $$($(call packages,--libs lmdb))
LUA_CFLAGS = $$($(call packages,--cflags lua5.4))
LUA_LIBS = $$($(call packages,--libs libedit))
LUA_ARCHIVE = $$($(call packages,--variable=libdir lua5.4))/liblua5.4.a
RPC_LIBS = $$($(call packages,--libs jansson))
PEER_LIBS = $$(for name in sqlite3 libpq hiredis libnats; do \
  $(PKG_CONFIG) --silence-errors --libs $$name; done)
SPEC_LIBS = $$($(call packages,--libs cmocka msgpack lmdb))

ENGINE_SRC := $(sort $(wildcard engine/*.c))
MSGPACK_SRC := $(sort $(wildcard bindings/msgpack/*.c))
LUA_MODULE_SRC := $(wildcard bindings/lua/terminal.c bindings/lua/line_editor.c)
LUA_SRC := $(filter-out $(LUA_MODULE_SRC),$(sort $(wildcard bindings/lua/*.c)))
HOST_SRC := $(sort $(wildcard bindings/lua/host/*.c bindings/lua/sandbox/*.c))
RPC_MODULE_SRC := $(wildcard bindings/rpc/lua_module.c)
RPC_SRC := $(filter-out $(RPC_MODULE_SRC),$(sort $(wildcard bindings/rpc/*.c)))
SPEC_SRC := $(sort $(wildcard spec/c/*_test.c spec/fault/*_test.c))
SPEC_HELP_SRC := $(sort $(filter-out $(SPEC_SRC),$(wildcard spec/c/*.c)))
BENCH_SRC := $(sort $(wildcard spec/bench/*.c))
FUZZ_SRC := $(sort $(wildcard spec/fuzz/*_fuzz.c))
POWER_SRC := $(sort $(wildcard spec/power/*.c))
SOAK_SRC := $(sort $(wildcard spec/soak/*.c))
LUA_FILES := $(sort $(wildcard scripts/tycho/*.lua scripts/tycho/*/*.lua))

object = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
ENGINE_OBJ := $(call object,$(ENGINE_SRC))
MSGPACK_OBJ := $(call object,$(MSGPACK_SRC))
LUA_OBJ := $(call object,$(LUA_SRC))
HOST_OBJ := $(call object,$(HOST_SRC)) $(call object,$(sort $(wildcard bindings/lua/codec*.c)) \
  bindings/lua/nearest.c)
RPC_OBJ := $(call object,$(RPC_SRC))
RPC_MODULE_OBJ := $(call object,$(RPC_MODULE_SRC))
SPEC_HELP_OBJ := $(call object,$(SPEC_HELP_SRC))
CLIENT_SRC := spec/fault/history_client.c
SPEC_PROGRAMS := $(patsubst %.c,$(BUILD)/spec/%,$(notdir $(SPEC_SRC) $(CLIENT_SRC)))
BENCH_OBJ := $(call object,$(BENCH_SRC))
POWER_OBJ := $(call object,$(filter-out spec/power/recorder.c,$(POWER_SRC)))
FUZZ_PROGRAMS := $(patsubst %.c,$(BUILD)/fuzz/%,$(notdir $(FUZZ_SRC)))

TYCHO_SO := $(BUILD)/libtycho.so.$(SOVERSION)
RPC_SO := $(BUILD)/libtycho_rpc.so.$(SOVERSION)
SCRIPTS_SO := $(BUILD)/libtycho_scripts.so.$(SOVERSION)
NAMES := libtycho libtycho_rpc libtycho_scripts
LIBRARIES := $(foreach name,$(NAMES),$(BUILD)/$(name).so $(BUILD)/$(name).a)
PKG_CONFIGS := $(addprefix $(BUILD)/,tycho.pc tycho_rpc.pc tycho_scripts.pc)
MODULES := $(BUILD)/lua/tycho/core.so $(BUILD)/lua/tycho/rpc.so \
  $(patsubst bindings/lua/%.c,$(BUILD)/lua/tycho/%.so,$(LUA_MODULE_SRC))
DEPS_BUILD := build/.deps-build
DEPS_CHECK := build/.deps-check

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all libs spec-programs thread-programs fuzz-programs power-programs demo check bench \
  bench-full bench-program asan tsan fuzz sweep property crash rename-rounds power-loss damage soak \
  soak-programs coverage lint deps install uninstall dist clean help always

all: libs tycho ## build the libraries, the Lua modules and ./tycho (default)

libs: $(LIBRARIES) $(MODULES) $(PKG_CONFIGS)

# ---------------------------------------------------------------- what must be installed first

deps: ## install what is missing with apt (Debian, Ubuntu); nothing when all is there
	@.ci/deps check

$(DEPS_BUILD): .ci/deps
	@.ci/deps build
	@mkdir -p $(@D) && touch $@

$(DEPS_CHECK): .ci/deps
	@.ci/deps check
	@mkdir -p $(@D) && touch $@ $(DEPS_BUILD)

# ---------------------------------------------------------------- objects

compile = @mkdir -p $(@D) && echo "  CC    $<" && \
  $(CC) $(TYCHO_CPPFLAGS) $(1) $(CPPFLAGS) $(TYCHO_CFLAGS) $(CLEARING_IF_KNOWN) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/bindings/lua/%.o: bindings/lua/%.c | $(DEPS_BUILD)
	$(call compile,$(LUA_CFLAGS))

$(BUILD)/obj/bindings/rpc/lua_module.o: bindings/rpc/lua_module.c | $(DEPS_BUILD)
	$(call compile,$(LUA_CFLAGS))

$(BUILD)/obj/engine/checksum.o: TYCHO_CFLAGS += -funroll-loops

$(BUILD)/obj/spec/%.o: spec/%.c | $(DEPS_CHECK)
	$(call compile,-Ispec/c $(LUA_CFLAGS))

$(BUILD)/obj/%.o: %.c | $(DEPS_BUILD)
	$(call compile,)

ALL_SRC := $(ENGINE_SRC) $(MSGPACK_SRC) $(LUA_SRC) $(LUA_MODULE_SRC) $(HOST_SRC) $(RPC_SRC) \
  $(RPC_MODULE_SRC) $(SPEC_SRC) $(CLIENT_SRC) $(SPEC_HELP_SRC) $(BENCH_SRC) $(FUZZ_SRC) \
  $(POWER_SRC) $(SOAK_SRC)
-include $(patsubst %.o,%.d,$(call object,$(ALL_SRC)))

# ---------------------------------------------------------------- libraries and Lua modules

link = @mkdir -p $(@D) && echo "  LINK  $@" && $(CC) $(CFLAGS) $(TYCHO_LDFLAGS) $(LDFLAGS) -o $@
archive = @mkdir -p $(@D) && echo "  AR    $@" && rm -f $@ && $(AR) crD $@ $^
# An archive of one object, in which $(1) says to objcopy which symbols stay outside.
archive_one = @echo "  AR    $@" && $(LD) -r -o $(@:.a=.o) $^ && $(OBJCOPY) --wildcard $(1) \
  $(@:.a=.o) && rm -f $@ && $(AR) crD $@ $(@:.a=.o) && rm $(@:.a=.o)

$(NAMES:%=$(BUILD)/%.so): %.so: %.so.$(SOVERSION)
	@ln -sf $(<F) $@

# LMDB is inside, because the engine decides how its commits are flushed (engine/disk.h); none of
# its symbols goes in or out.
LMDB_INSIDE := $(BUILD)/obj/lmdb_inside.o

$(LMDB_INSIDE): | $(DEPS_BUILD)
	@mkdir -p $(@D) && $(LD) -r -o $@ --whole-archive $(LMDB_ARCHIVE) && $(OBJCOPY) \
	  $(foreach name,pwrite writev fdatasync fsync stderr,\
	  --redefine-sym $(name)=tycho__lmdb_$(name)) $@

$(TYCHO_SO): $(ENGINE_OBJ) $(LMDB_INSIDE) engine/libtycho.map
	$(link) -shared $(NO_UNDEFINED) -Wl,-soname,$(@F) -Wl,--version-script=engine/libtycho.map \
	  $(ENGINE_OBJ) $(LMDB_INSIDE) $(ENGINE_LIBS) $(LDLIBS)

$(BUILD)/libtycho.a: $(ENGINE_OBJ) $(LMDB_INSIDE)
	$(call archive_one,--localize-symbol='mdb_*')

$(RPC_SO): $(RPC_OBJ) $(MSGPACK_OBJ) bindings/rpc/libtycho_rpc.map $(BUILD)/libtycho_scripts.so
	$(link) -shared $(NO_UNDEFINED) -Wl,-soname,$(@F) \
	  -Wl,--version-script=bindings/rpc/libtycho_rpc.map -Wl,-rpath,'$$ORIGIN' \
	  $(RPC_OBJ) $(MSGPACK_OBJ) -L$(BUILD) -ltycho_scripts -ltycho $(RPC_LIBS) $(LDLIBS)

$(BUILD)/libtycho_rpc.a: $(RPC_OBJ) $(MSGPACK_OBJ)
	$(archive)

# The script host has Lua inside, so that it can live in a process with another one: no symbol of
# Lua goes in or out of the library, nor of the one object of the archive. See inside.c. Functions
# of its tables are replaced: see tables.c.
LUA_INSIDE := $(BUILD)/obj/liblua_inside.a

$(LUA_INSIDE): Makefile | $(DEPS_BUILD)
	@mkdir -p $(@D)/lua_inside && rm -f $@ && $(OBJCOPY) \
	  --redefine-sym snprintf=tycho__lua_snprintf \
	  --redefine-sym __snprintf_chk=tycho__lua_snprintf_chk \
	  $(foreach stream,stdin stdout stderr,--redefine-sym $(stream)=tycho__no_$(stream)) \
	  $(LUA_ARCHIVE) $@.new
	@cd $(@D)/lua_inside && $(AR) x ../$(@F).new ltable.o && $(OBJCOPY) \
	  $(foreach name,getn finishset set setint resize resizearray,\
	  --redefine-sym luaH_$(name)=lua_stock_$(name)) ltable.o && \
	  $(AR) rD ../$(@F).new ltable.o && rm -r ../lua_inside && mv ../$(@F).new ../$(@F)

$(SCRIPTS_SO): $(HOST_OBJ) $(MSGPACK_OBJ) $(LUA_INSIDE) bindings/lua/host/libtycho_scripts.map \
  $(BUILD)/libtycho.so
	$(link) -shared $(NO_UNDEFINED) -Wl,-soname,$(@F) \
	  -Wl,--version-script=bindings/lua/host/libtycho_scripts.map -Wl,-rpath,'$$ORIGIN' \
	  $(HOST_OBJ) $(MSGPACK_OBJ) $(LUA_INSIDE) -L$(BUILD) -ltycho -lm $(LDLIBS)

$(BUILD)/libtycho_scripts.a: $(HOST_OBJ) $(MSGPACK_OBJ) $(LUA_INSIDE)
	$(call archive_one,$(foreach name,script deployment_ backfill_ model_,\
	  --keep-global-symbol='tycho_$(name)*'))

# A module finds its library in the tree (build/lua/tycho -> build) and installed
# (LIBDIR/lua/5.4/tycho -> LIBDIR) without being linked again.
module = $(link) -shared -Wl,--version-script=bindings/lua/module.map \
  -Wl,-rpath,'$$ORIGIN/../..:$$ORIGIN/../../..'

$(BUILD)/lua/tycho/core.so: $(LUA_OBJ) $(MSGPACK_OBJ) bindings/lua/module.map \
  $(BUILD)/libtycho_scripts.so
	$(module) $(LUA_OBJ) $(MSGPACK_OBJ) -L$(BUILD) -ltycho_scripts -ltycho $(LDLIBS)

$(BUILD)/lua/tycho/rpc.so: $(RPC_MODULE_OBJ) bindings/lua/module.map $(BUILD)/libtycho_rpc.so
	$(module) $(RPC_MODULE_OBJ) -L$(BUILD) -ltycho_rpc -ltycho $(LDLIBS)

# Small modules of one file, without the engine.
$(BUILD)/lua/tycho/%.so: $(BUILD)/obj/bindings/lua/%.o bindings/lua/module.map
	$(module) $< $(LUA_LIBS) $(LDLIBS)

# Always made anew: they name the PREFIX of this very call.
fill = sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@LIBDIR@|$(LIBDIR)|g' -e 's|@LUA@|$(LUA)|g' \
  -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|g' -e 's|@VERSION@|$(VERSION)|g'

$(BUILD)/tycho.pc: engine/tycho.pc.in
$(BUILD)/tycho_rpc.pc: bindings/rpc/tycho_rpc.pc.in
$(BUILD)/tycho_scripts.pc: bindings/lua/host/tycho_scripts.pc.in
$(PKG_CONFIGS): always
	@mkdir -p $(@D) && $(fill) $(filter %.in,$^) >$@

tycho: scripts/tycho.in
	@$(fill) -e 's|@LUA_LMOD@||' -e 's|@LUA_CMOD@||' $< >$@ && chmod 755 $@

always:

# ---------------------------------------------------------------- tests, fuzzers, benches

spec-programs: $(SPEC_PROGRAMS)
thread-programs: $(filter %_threads_test %/history_client,$(SPEC_PROGRAMS))
fuzz-programs: $(FUZZ_PROGRAMS)
power-programs: $(BUILD)/power/recorder.so $(BUILD)/power/replay
soak-programs: $(BUILD)/soak/clock.so

STATIC := $(BUILD)/libtycho_rpc.a $(BUILD)/libtycho_scripts.a $(BUILD)/libtycho.a

# The script host for its own tests, which look inside.
HOST := $(BUILD)/libtycho_host.a

$(HOST): $(HOST_OBJ) $(MSGPACK_OBJ) | $(LUA_INSIDE)
	$(archive)

HOST_LIBS := -Wl,--start-group $(HOST) $(LUA_INSIDE) -Wl,--end-group -lm

# Tests lie in two folders. The shortest stem counts: sandbox and script tests come before others.
define test_rules
$(BUILD)/spec/sandbox%: $(BUILD)/obj/$(1)/sandbox%.o $(HOST)
	$$(link) $$< $(HOST_LIBS) $$(SPEC_LIBS) $$(LDLIBS)

$(BUILD)/spec/script_%: $(BUILD)/obj/$(1)/script_%.o $(SPEC_HELP_OBJ) $(HOST) $(STATIC)
	$$(link) $$< $(SPEC_HELP_OBJ) $(BUILD)/libtycho_rpc.a $(HOST_LIBS) $(BUILD)/libtycho.a \
	  $$(ENGINE_LIBS) $$(RPC_LIBS) $$(SPEC_LIBS) $$(LDLIBS)

$(BUILD)/spec/%: $(BUILD)/obj/$(1)/%.o $(SPEC_HELP_OBJ) $(STATIC)
	$$(link) $$< $(SPEC_HELP_OBJ) $(STATIC) $$(ENGINE_LIBS) $$(RPC_LIBS) $$(SPEC_LIBS) -lm $$(LDLIBS)
endef
$(foreach folder,spec/c spec/fault,$(eval $(call test_rules,$(folder))))

$(BUILD)/fuzz/sandbox%: $(BUILD)/obj/spec/fuzz/sandbox%.o $(HOST)
	$(link) -fsanitize=fuzzer $< $(HOST_LIBS) $(LDLIBS)

# What it has of the names of Lua's is exported, as that of a host with another Lua is.
$(BUILD)/spec/inside_lua_test: $(BUILD)/obj/spec/c/inside_lua_test.o $(STATIC) \
  $(BUILD)/libtycho_scripts.so
	$(link) -rdynamic $< $(STATIC) $(ENGINE_LIBS) $(RPC_LIBS) $(SPEC_LIBS) -lm $(LDLIBS)

# The calls of LMDB that fail in a test: it has them under the names that the engine calls, and
# LMDB's own under others. What is read without it fails as well.
FAILING_LMDB := $(BUILD)/obj/lmdb_failing.o
LMDB_CALLS := env_create env_open env_sync env_copy2 dbi_open txn_begin txn_renew txn_reset \
  txn_commit txn_abort cursor_open cursor_get cursor_put del stat

FAILING_READS := -Wl,--wrap=tycho__guard_step

$(FAILING_LMDB): $(LMDB_INSIDE)
	@$(OBJCOPY) $(foreach name,$(LMDB_CALLS),--redefine-sym mdb_$(name)=lmdb_$(name)) $< $@

$(BUILD)/spec/script_lmdb_calls_test: $(BUILD)/obj/spec/fault/script_lmdb_calls_test.o $(HOST) \
  $(BUILD)/libtycho_rpc.a $(ENGINE_OBJ) $(FAILING_LMDB)
	$(link) $< $(ENGINE_OBJ) $(FAILING_LMDB) $(FAILING_READS) $(BUILD)/libtycho_rpc.a \
	  $(HOST_LIBS) $(ENGINE_LIBS) $(RPC_LIBS) $(SPEC_LIBS) $(LDLIBS)

FAILING_MEMORY := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
FAILING_SYSTEM := -Wl,--wrap=open,--wrap=mmap,--wrap=rename,--wrap=fsync,--wrap=fdatasync,--wrap=pwrite

$(BUILD)/spec/lua_calls_test: $(BUILD)/obj/spec/fault/lua_calls_test.o $(LUA_OBJ) $(HOST) \
  $(ENGINE_OBJ) $(FAILING_LMDB)
	$(link) $< $(LUA_OBJ) $(ENGINE_OBJ) $(FAILING_LMDB) $(FAILING_READS) $(FAILING_MEMORY) \
	  $(HOST_LIBS) $(ENGINE_LIBS) $(SPEC_LIBS) $(LDLIBS)

$(BUILD)/spec/lmdb_calls_test: $(BUILD)/obj/spec/fault/lmdb_calls_test.o $(SPEC_HELP_OBJ) \
  $(ENGINE_OBJ) $(FAILING_LMDB)
	$(link) $^ $(FAILING_READS) $(ENGINE_LIBS) $(SPEC_LIBS) $(LDLIBS)

$(BUILD)/spec/damaged_calls_test: $(BUILD)/obj/spec/fault/damaged_calls_test.o $(SPEC_HELP_OBJ) \
  $(ENGINE_OBJ) $(FAILING_LMDB)
	$(link) $^ $(FAILING_READS) $(FAILING_MEMORY) $(FAILING_SYSTEM) $(ENGINE_LIBS) $(SPEC_LIBS) $(LDLIBS)

$(BUILD)/tycho-bench: $(BENCH_OBJ) $(BUILD)/libtycho_scripts.a $(BUILD)/libtycho.a
	$(link) $^ $(ENGINE_LIBS) $(LMDB_LIBS) $(RPC_LIBS) $(PEER_LIBS) -lm $(LDLIBS)

# What is recorded and replayed when the power fails: spec/power/.
$(BUILD)/power/recorder.so: $(BUILD)/obj/spec/power/recorder.o
	$(link) -shared $< $(LDLIBS)

$(BUILD)/power/replay: $(POWER_OBJ) $(STATIC)
	$(link) $(POWER_OBJ) $(STATIC) $(ENGINE_LIBS) $(RPC_LIBS) -lm $(LDLIBS)

$(BUILD)/fuzz/%: $(BUILD)/obj/spec/fuzz/%.o $(STATIC)
	$(link) -fsanitize=fuzzer $< $(STATIC) $(ENGINE_LIBS) $(RPC_LIBS) -lm $(LDLIBS)

# The clock that jumps: spec/soak/.
$(BUILD)/soak/clock.so: $(BUILD)/obj/spec/soak/clock.o
	$(link) -shared $< $(LDLIBS)

.SECONDARY:

# Lua that finds what is in the tree.
LUA_HERE = LUA_PATH='scripts/?.lua;scripts/?/init.lua;spec/?.lua;;' LUA_CPATH='build/lua/?.so;;' \
  $(LUA)

check: | $(DEPS_CHECK) ## build and run every test (under 15 minutes on 2 cores)
	@$(LUA) spec/run.lua

asan: | $(DEPS_CHECK) ## build everything with ASan and UBSan in build/asan
	@$(MAKE) --no-print-directory BUILD=build/asan SANITIZE=address,undefined WERROR= \
	  libs spec-programs power-programs

tsan: | $(DEPS_CHECK) ## build the tests with threads with TSan in build/tsan
	@$(MAKE) --no-print-directory BUILD=build/tsan SANITIZE=thread WERROR= thread-programs

fuzz: | $(DEPS_CHECK) ## run every fuzz target for TIME seconds (TIME=60), with AFL=1 by AFL++
	@$(if $(AFL),.ci/deps afl)
	@$(LUA) spec/run.lua $(if $(AFL),--afl,--fuzz) $(TIME)

sweep: all spec-programs ## every call and allocation of a life of a store fails once, and from there on
	@TYCHO_SWEEP=full $(LUA) spec/run.lua --sweep

# Made by another make, because what .ci/peers installs decides what is in it.
$(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard spec/bench/peer_*.c)): $(wildcard build/bench-peers/headers)

bench-program: all
	@.ci/peers
	@$(MAKE) --no-print-directory $(BUILD)/tycho-bench

bench: bench-program ## the table of what it must reach and of its peers; BASE=... compares
	@$(BUILD)/tycho-bench $(if $(BASE),--base $(BASE)) $(BENCH_FLAGS)

bench-full: bench-program ## the same at full size, up to 100 M events: 40 GB of disk, an hour
	@$(BUILD)/tycho-bench --full $(if $(BASE),--base $(BASE)) $(BENCH_FLAGS)

demo: all ## import this machine's dpkg log and this repository's history; FILE=... for NDJSON
	@$(LUA_HERE) examples/demo/demo.lua $(DEMO) $(FILE)

property: all ## random histories against the model: STEPS=10000000 SEED=... PROFILE=...
	@$(foreach name,STEPS SEED PROFILE,$(if $($(name)),$(name)=$($(name)))) \
	  $(LUA) /usr/bin/busted --ignore-lua spec/property

crash: all $(BUILD)/spec/history_client ## kill -9 under load, all that was seen judged: ROUNDS=1000 SEED=...
	@$(LUA_HERE) spec/fault/history_rounds.lua $(or $(ROUNDS),1000) $(SEED)

rename-rounds: all ## streams renamed under publishers and kill -9: ROUNDS=1000 SEED=...
	@$(LUA_HERE) spec/fault/rename_rounds.lua $(ROUNDS) $(SEED)

power-loss: all power-programs ## power cuts: BATCHES=200 SEED=... SUBSETS=8 SYNC=full POINT=w.i
	@$(LUA_HERE) spec/power/power_loss.lua $(foreach name,BATCHES SEED SUBSETS SYNC PROCESSES BUILD REPLAY \
	  JOBS POINT AGAIN KILL KEEPER WORKLOAD IGNORE_FLUSH,$(if $($(name)),$(name)=$($(name))))

damage: $(BUILD)/spec/damage_test $(BUILD)/spec/salvage_test ## pages damaged and salvaged: ROUNDS=10000 SEED=...
	@for test in damage salvage; do \
	  TYCHO_ROUNDS=$(ROUNDS) $(if $(SEED),TYCHO_SEED=$(SEED)) $(BUILD)/spec/$${test}_test || exit 1; done

soak: all soak-programs ## everything at once, with faults: HOURS=n or MINUTES=n, SEED=...
	@$(LUA_HERE) spec/soak/soak.lua $(foreach name,HOURS MINUTES SECONDS SEED,$(if $($(name)),$(name)=$($(name))))

# Children of tests end with _exit(), which by itself would not say what they ran.
COVERED_EXIT := build/coverage/obj/spec/covered_exit.o

coverage: all soak-programs ## branch coverage of engine/ and bindings/lua/; MISSING=1 names what is missing
	@$(MAKE) --no-print-directory BUILD=build/coverage WERROR= $(COVERED_EXIT)
	@$(MAKE) --no-print-directory BUILD=build/coverage WERROR= LDFLAGS=-Wl,--wrap=_exit \
	  LDLIBS=$(COVERED_EXIT) CFLAGS='-O0 -g --coverage -fprofile-update=atomic' \
	  libs spec-programs power-programs
	@$(LUA_HERE) spec/coverage.lua build/coverage $(if $(MISSING),--missing)

lint: | $(DEPS_CHECK) ## clang's warnings and luacheck
	@for file in $(ALL_SRC); do $(CLANG) -fsyntax-only $(TYCHO_CPPFLAGS) -Ispec/c \
	  $(LUA_CFLAGS) $(TYCHO_CFLAGS) $$file || exit 1; done
	@luacheck --quiet .

# ---------------------------------------------------------------- install, pack

HEADERS := engine/tycho.h bindings/rpc/tycho_rpc.h bindings/lua/host/tycho_scripts.h
INSTALLED := $(foreach name,$(NAMES),$(addprefix $(LIBDIR)/$(name),.so .so.$(SOVERSION) .a)) \
  $(addprefix $(INCLUDEDIR)/,$(notdir $(HEADERS))) \
  $(addprefix $(LIBDIR)/pkgconfig/,$(notdir $(PKG_CONFIGS))) $(BINDIR)/tycho $(MANDIR)/man1/tycho.1

install: all ## install below PREFIX (/usr/local); DESTDIR is put in front
	$(INSTALL) -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(BINDIR) \
	  $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(LUA_CMOD)/tycho $(sort $(dir $(LUA_FILES:scripts/%=$(DESTDIR)$(LUA_LMOD)/%)))
	$(INSTALL) -m 644 $(TYCHO_SO) $(RPC_SO) $(SCRIPTS_SO) $(filter %.a,$(LIBRARIES)) \
	  $(DESTDIR)$(LIBDIR)
	for name in $(NAMES); do \
	  ln -sf $$name.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/$$name.so || exit 1; done
	$(INSTALL) -m 644 $(HEADERS) $(DESTDIR)$(INCLUDEDIR)
	$(INSTALL) -m 644 $(MODULES) $(DESTDIR)$(LUA_CMOD)/tycho
	for file in $(LUA_FILES:scripts/%=%); do \
	  $(INSTALL) -m 644 scripts/$$file $(DESTDIR)$(LUA_LMOD)/$$file || exit 1; done
	$(INSTALL) -m 644 $(PKG_CONFIGS) $(DESTDIR)$(LIBDIR)/pkgconfig
	$(fill) -e 's|@LUA_LMOD@|$(LUA_LMOD)|' -e 's|@LUA_CMOD@|$(LUA_CMOD)|' scripts/tycho.in \
	  >$(DESTDIR)$(BINDIR)/tycho
	chmod 755 $(DESTDIR)$(BINDIR)/tycho
	$(INSTALL) -m 644 scripts/tycho.1 $(DESTDIR)$(MANDIR)/man1

uninstall: ## remove what install put there
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	rm -rf $(DESTDIR)$(LUA_CMOD)/tycho $(DESTDIR)$(LUA_LMOD)/tycho

dist: ## tycho-VERSION.tar.gz of the last commit, the same bytes every time
	git archive --prefix=tycho-$(VERSION)/ HEAD | gzip -9n >tycho-$(VERSION).tar.gz

clean: ## remove what was built
	rm -rf build tycho tycho-*.tar.gz

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | \
	  awk -F'|' '{ printf "%-21s %s\n", $$1, $$2 }'
	@echo "  variables: CC CFLAGS LDFLAGS PREFIX DESTDIR LIBDIR INCLUDEDIR PKG_CONFIG LUA"
