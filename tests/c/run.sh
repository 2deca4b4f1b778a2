#!/bin/sh
# The C tests: run.sh [LIBDIR]. LIBDIR holds cargo's libtriveni.so and libtriveni.a (target/release).
#
# They are built against the kit, as users build: C11 and C++17 without a warning, under AddressSanitizer and
# UndefinedBehaviorSanitizer, linked to the .so; once against the archive; and once under valgrind, if it is here.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
libs=${1:-$root/target/release}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
kit=$work/kit
passed=0 failed=0

ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAILED $*"; }
# check SENTENCE COMMAND...
check() {
    sentence=$1
    shift
    if "$@" >"$work/out" 2>&1; then ok; else bad "$sentence"; sed 's/^/    /' "$work/out"; fi
}

sh "$root/ffi-c/kit.sh" "$kit" "$libs" || { echo "run.sh: no kit from $libs: build it first (make build)"; exit 1; }
warnings="-Wall -Wextra -Wpedantic -Werror"
sanitizers="-g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
include="-I$kit/include"
shared="-L$kit/lib -Wl,-rpath,$kit/lib -ltriveni -lpthread"
archive="-Wl,--gc-sections $kit/lib/libtriveni.a -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc"

only_our_names() { ! nm -D --defined-only "$kit/lib/libtriveni.so.0" | awk '{print $3}' | grep -v '^tvn_'; }
every_name_of_the_header() {
    nm -D --defined-only "$kit/lib/libtriveni.so.0" | awk '{print $3}' | sort >"$work/exported"
    grep -v '^ *\*' "$kit/include/triveni.h" | grep -o '\btvn_[a-z_]*(' | tr -d '(' | sort -u | diff - "$work/exported"
}
has_soname() { readelf -d "$kit/lib/libtriveni.so" | grep -q 'SONAME.*\[libtriveni.so.0\]'; }
check "the library exports tvn_ names only" only_our_names
check "the library exports what the header declares, no more" every_name_of_the_header
check "the library's soname is libtriveni.so.0" has_soname

# suite NAME PROGRAM [WRAPPER...]: runs a test program and adds its numbers to ours
suite() {
    name=$1 program=$2
    shift 2
    "$@" "$program" >"$work/out" 2>&1
    status=$?
    numbers=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$work/out" | tail -n 1)
    if [ -z "$numbers" ]; then
        bad "$name: ended without a result (exit $status)"
        sed 's/^/    /' "$work/out"
        return
    fi
    passed=$((passed + ${numbers% *})) failed=$((failed + ${numbers#* }))
    [ "$status" -eq 0 ] || sed "s/^/    $name: /" "$work/out"
}

# build PROGRAM COMMAND...: compiles; a failure counts
build() {
    program=$1
    shift
    if "$@" -o "$program" 2>"$work/out"; then return 0; fi
    bad "compile $(basename "$program")"
    sed 's/^/    /' "$work/out"
    return 1
}

for name in hello errors bad_input waits processes kinds objects holders observers wait_set ring mailbox topic service port array cell type_tag deadlock file_lock pipe posix_queue sysv_queue semaphores shared_memory sockets process; do
    # shellcheck disable=SC2086 # these are lists of options
    build "$work/$name" gcc -std=c11 $warnings $sanitizers $include "$here/$name.c" $shared && suite "$name" "$work/$name"
done
# shellcheck disable=SC2086
{
    build "$work/hello-c++" g++ -x c++ -std=c++17 $warnings $sanitizers $include "$here/hello.c" -x none $shared &&
        suite "hello as C++17" "$work/hello-c++"
    build "$work/hello-static" gcc -std=c11 $warnings $include "$here/hello.c" $archive &&
        suite "hello with the archive" "$work/hello-static"
    for source in "$root"/examples/*/*.c "$here"/../peers/*.c; do
        build "$work/$(basename "$source" .c)-example" gcc -std=c11 $warnings -O2 $include "$source" $shared && ok
    done
    if command -v pkg-config >/dev/null; then
        by_pkg_config() {
            flags=$(PKG_CONFIG_PATH="$kit/lib/pkgconfig" pkg-config --cflags --libs triveni) &&
                gcc "$root/examples/hello/hello.c" -o "$work/by-pkg-config" $flags
        }
        check "the kit is found by pkg-config" by_pkg_config
    else
        echo "not run: pkg-config is not installed"
    fi
    if command -v valgrind >/dev/null; then
        for name in hello objects service array cell; do
            build "$work/$name-valgrind" gcc -std=c11 $warnings -g $include "$here/$name.c" $shared &&
                suite "$name under valgrind" "$work/$name-valgrind" valgrind -q --trace-children=no --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite
        done
    else
        echo "not run: valgrind is not installed"
    fi
}

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
