--- Branches that no test can take, and why: `make coverage` leaves them out.
---
---   FILE = { { CODE, REASON }, ... }, CODE being a line of the file without its indentation
---
--- Of such a line the branches that were not taken are left out; when all of them were, the entry
--- is wrong, and `make coverage` fails. spec/coverage_spec.lua fails when there is no such line.

return {
  ["bindings/lua/host/script.c"] = {
    { "if (pthread_attr_getstack(&attributes, &lowest, &size) != 0) lowest = NULL;",
      "the attributes are those of a thread that runs" },
  },
  ["bindings/lua/sandbox/limits.c"] = {
    { "if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &clock) != 0) return 0;",
      "the clock of the thread that asks can be read" },
  },
  ["bindings/lua/sandbox/sandbox.c"] = {
    { 'const char *message = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "no text";',
      "nothing raises outside of a protected call: if it did, Lua would end the process" },
    { "if (sandbox->locale == (locale_t)0 || !open_state(sandbox)) {",
      "the locale C is a part of the C library: making it takes no memory" },
    { "if (sandbox->locale != (locale_t)0) freelocale(sandbox->locale);",
      "the locale C is a part of the C library: making it takes no memory" },
  },
  ["engine/disk.c"] = {
    { "return writing != NULL && writing->kind == TYCHO__LISTED ? 0 : fsync(fd);",
      "LMDB calls fsync() instead of fdatasync() only on Linux before 3.6" },
  },
  ["engine/env.c"] = {
    { 'if (snprintf(file, sizeof file, "%s/%s", path, files[i]) < (int)sizeof file) unlink(file);',
      "the buffer has room for the longest path that can be made, and for the names behind it" },
    { 'if (fstatfs(directory, &fs) != 0) return tycho__fail_path("opening", path);',
      "the directory was just opened, and only a broken file system refuses to say its kind" },
    { "if ((long)fs.f_type != refused[i].magic) continue;",
      "tests have no network file system" },
    { "int error = fstat(fd, &file) == 0 ? 0 : errno;", "fstat() of an open file does not fail" },
  },
  ["engine/gate.c"] = {
    { "if (fd < 0 || (fstat(fd, &file) == 0 && S_ISREG(file.st_mode))) return fd;",
      "fstat() of an open file does not fail" },
    { 'if (fstat(gate->locks_fd, &file) != 0) return tycho__gate_fail("locks");',
      "fstat() of an open file does not fail" },
  },
  ["engine/guard.c"] = {
    { "if (fstat(file, &info) != 0) return NULL;", "fstat() of an open file does not fail" },
    { "if (fstat(guard->file, &info) != 0) return;", "fstat() of an open file does not fail" },
    { "return pages > 0 && size > 0 ? (uint64_t)pages / 2 * (uint64_t)size : UINT64_MAX;",
      "Linux knows the sizes of its memory and of its pages" },
    { "return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_majflt : -1;",
      "getrusage() of the thread that asks does not fail" },
  },
  ["engine/salvage.c"] = {
    { 'if (snprintf(file, sizeof file, "%s/%s", made, files[i]) < (int)sizeof file) unlink(file);',
      "the buffer has room for the longest path that can be made, and for the names behind it" },
  },
  ["engine/verify.c"] = {
    { "switch (v->phase) {", "a verification that is over makes no step" },
  },
}
