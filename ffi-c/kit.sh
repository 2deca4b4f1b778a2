#!/bin/sh
# Lays out what a C program needs: kit.sh DEST LIBDIR
#
# LIBDIR holds cargo's libtriveni.so and libtriveni.a; DEST gets include/ and lib/. Everything in DEST finds
# its neighbours by its own place, so that the kit works wherever it is copied. `make install` and the wheel
# both call this.
set -eu
[ $# -eq 2 ] || { echo "usage: sh kit.sh DEST LIBDIR" >&2; exit 2; }
dest=$1 from=$2
here=$(cd "$(dirname "$0")" && pwd)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$here/../Cargo.toml" | head -n 1)
[ -n "$version" ] || { echo "kit.sh: no version in $here/../Cargo.toml" >&2; exit 1; }

mkdir -p "$dest/include" "$dest/lib/pkgconfig" "$dest/lib/cmake/triveni"
cp -R "$here/../include/." "$dest/include"

# Twice, because a wheel holds no symbolic links. The new file replaces the old one whole: a program that runs
# on the old one keeps it.
for name in libtriveni.so.0 libtriveni.so; do
    cp "$from/libtriveni.so" "$dest/lib/.$name.new"
    chmod 755 "$dest/lib/.$name.new"
    mv -f "$dest/lib/.$name.new" "$dest/lib/$name"
done

# The archive as one object that shows only our names: an eighth of the size, and nothing of Rust's library to
# collide with. Rust's bitcode goes first, since older binutils stop at it. Without binutils it stays as it is.
slim() {
    work=$(mktemp -d) || return 1
    ld -r --whole-archive "$from/libtriveni.a" -o "$work/all.o" 2>/dev/null &&
        objcopy --remove-section=.llvmbc --remove-section=.llvmcmd --strip-debug \
            --wildcard --keep-global-symbol='tvn_*' "$work/all.o" "$work/triveni.o" 2>/dev/null &&
        ar rcs "$work/libtriveni.a" "$work/triveni.o" &&
        nm "$work/libtriveni.a" 2>/dev/null | grep -q ' T tvn_version' &&
        cp "$work/libtriveni.a" "$dest/lib/libtriveni.a"
    done=$?
    rm -rf "$work"
    return $done
}
slim || cp "$from/libtriveni.a" "$dest/lib/libtriveni.a"

# What Rust's library asks of the system when it is linked in.
system="-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc"

cat > "$dest/lib/pkgconfig/triveni.pc" <<EOF
prefix=\${pcfiledir}/../..
includedir=\${prefix}/include
libdir=\${prefix}/lib

Name: triveni
Description: Rust, C and Python processes on one segment of memory and the same named objects
Version: $version
Cflags: -I\${includedir}
Libs: -L\${libdir} -ltriveni
Libs.private: $system
EOF

cat > "$dest/lib/cmake/triveni/triveniConfig.cmake" <<EOF
# find_package(triveni); target_link_libraries(program triveni::triveni), or triveni::static
get_filename_component(triveni_lib "\${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
get_filename_component(triveni_include "\${triveni_lib}/../include" ABSOLUTE)
if(NOT TARGET triveni::triveni)
  add_library(triveni::triveni SHARED IMPORTED)
  set_target_properties(triveni::triveni PROPERTIES
    IMPORTED_LOCATION "\${triveni_lib}/libtriveni.so.0"
    IMPORTED_SONAME libtriveni.so.0
    INTERFACE_INCLUDE_DIRECTORIES "\${triveni_include}")
  add_library(triveni::static STATIC IMPORTED)
  set_target_properties(triveni::static PROPERTIES
    IMPORTED_LOCATION "\${triveni_lib}/libtriveni.a"
    INTERFACE_INCLUDE_DIRECTORIES "\${triveni_include}"
    INTERFACE_LINK_LIBRARIES "$system")
endif()
EOF

cat > "$dest/lib/cmake/triveni/triveniConfigVersion.cmake" <<EOF
set(PACKAGE_VERSION $version)
if(PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE FALSE)
else()
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
  if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
  endif()
endif()
EOF
