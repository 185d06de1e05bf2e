--- `make install` and what a user finds afterwards: a C program by pkg-config, the Lua module, the
--- command, all from outside the tree.

local tree = require "support.tree"

local C_PROGRAM = [[
#include <stdio.h>
#include <tycho.h>

int main(void)
{
    tycho_store *store;
    uint64_t head = 0;
    tycho_options options = {.size = sizeof options, .mode = TYCHO_TEMPORARY};
    if (tycho_store_open(NULL, &options, &store) != TYCHO_OK) {
        puts(tycho_error());
        return 1;
    }
    int status = tycho_head(store, &head);
    tycho_store_close(store);
    printf("%s %d %llu\n", tycho_version(), status, (unsigned long long)head);
    return 0;
}
]]

local LUA_PROGRAM = [[
local tycho = require "tycho"
local store <close> = tycho.temporary()
store:publish("orders", { type = "Placed", data = { total = 3 } })
print(store:last_event("orders").data.total, tycho.version)
]]

describe("make install", function()
  local place, prefix, version

  setup(function()
    place = tree.make_directory()
    prefix = place .. "/usr"
    version = tree.read_file("engine/tycho.h"):match('TYCHO_VERSION "([^"]+)"')
    tree.must(("make --no-print-directory install PREFIX=%s"):format(prefix))
  end)

  teardown(function() tree.remove_directory(place) end)

  it("gives a C program the library by pkg-config", function()
    tree.write_file(place .. "/program.c", C_PROGRAM)
    local out = tree.must(([[
      cd %s
      export PKG_CONFIG_PATH=%s/lib/pkgconfig
      gcc -Wall -Werror -o program program.c $(pkg-config --cflags --libs tycho) -Wl,-rpath,%s/lib
      ./program
      gcc -o static program.c $(pkg-config --cflags tycho) %s/lib/libtycho.a \
        $(pkg-config --static --libs tycho | sed 's/-ltycho//')
      ./static]]):format(place, prefix, prefix, prefix))
    local line = version .. " 0 0\n"
    assert.equal(line .. line, out)
  end)

  it("gives Lua the module, which finds its library by itself", function()
    tree.write_file(place .. "/program.lua", LUA_PROGRAM)
    local out = tree.must(([[
      cd %s
      export LUA_PATH="%s/share/lua/5.4/?.lua;%s/share/lua/5.4/?/init.lua"
      export LUA_CPATH="%s/lib/lua/5.4/?.so"
      env -u LD_LIBRARY_PATH lua5.4 program.lua]]):format(place, prefix, prefix, prefix))
    assert.equal("3\t" .. version .. "\n", out)
  end)

  it("gives the command, which runs from anywhere", function()
    local out = tree.must(([[
      cd %s
      unset LUA_PATH LUA_CPATH
      PATH=%s/bin:$PATH
      echo '{"stream":"orders","type":"Placed","data":{"total":3}}' >events.ndjson
      tycho import --store store events.ndjson >import.out 2>&1 || cat import.out
      tycho read --store store --json]]):format(place, prefix))
    assert.match('"total": ?3', out)
  end)

  it("puts everything below DESTDIR, and uninstall takes all of it away", function()
    local stage = place .. "/stage"
    local make = "make --no-print-directory %s PREFIX=/opt/tycho LIBDIR=/opt/tycho/lib64 DESTDIR="
    tree.must(make:format("install") .. stage)
    local count = tonumber(tree.must(("find %s ! -type d | wc -l"):format(stage)))
    assert.is_true(count > 15)
    assert.match("libdir=/opt/tycho/lib64\n",
      tree.read_file(stage .. "/opt/tycho/lib64/pkgconfig/tycho.pc"))
    local command = tree.read_file(stage .. "/opt/tycho/bin/tycho")
    assert.match("/opt/tycho/share/lua/5.4", command, 1, true)
    assert.equal("", tree.must(("grep -rlI %s %s || true"):format(tree.quoted(stage), stage)))
    tree.must(make:format("uninstall") .. stage)
    assert.equal("", tree.must(("find %s ! -type d"):format(stage)))
  end)

  it("links by a name that carries the version of the interface", function()
    local out = tree.must(("objdump -p %s/lib/libtycho.so"):format(prefix))
    assert.match("SONAME%s+libtycho%.so%.0\n", out)
    assert.match("TYCHO_0\n", out)
  end)
end)
