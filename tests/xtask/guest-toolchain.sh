#!/bin/bash
# The guest toolchain where `rustup target add wasm32-wasip{1,2}` cannot fetch targets.
#
# Lays a private rustc 1.96 (Debian's rustc-web) with a std built from its source and a libc for wasip1 (from the npm
# package @yowasp/clang) under the folder $1; nothing is installed system-wide. About three minutes on two cores.
# Needs: Debian with apt, npm, and a stable Rust (for rust-lld).
set -euo pipefail
OUT=${1:?usage: guest-toolchain.sh FOLDER}
TARGETS=${TARGETS:-"wasm32-wasip1 wasm32-wasip2"}
for tool in apt-get apt-cache dpkg-deb npm rustc; do
  command -v "$tool" >/dev/null || { echo "guest-toolchain: \`$tool\` is missing: install it, or run: rustup target add $TARGETS" >&2; exit 1; }
done
mkdir -p "$OUT"/{deb,npm,work}
OUT=$(realpath "$OUT")
[ -e "$OUT/.done" ] && exit 0

# A machine that never listed its packages knows none of these.
if ! apt-cache show rustc-web >/dev/null 2>&1; then
  if [ "$(id -u)" = 0 ]; then apt-get update -q; else sudo -n apt-get update -q; fi
fi
( cd "$OUT/deb"
  apt-get download -q rustc-web libstd-rust-web-dev libstd-rust-web-1.96 rust-web-llvm rust-web-src libllvm22
  for d in *.deb; do dpkg-deb -x "$d" "$OUT"; done )
SRC=$(echo "$OUT"/usr/src/rustc-*); mkdir -p "$OUT/usr/lib/rustlib/src"; ln -sfn "$SRC" "$OUT/usr/lib/rustlib/src/rust"
# Symlinks, not copies: rust-lld finds its libraries relative to where it lies.
H="$(rustc --print sysroot)/lib/rustlib/x86_64-unknown-linux-gnu/bin"; B="$OUT/usr/lib/rustlib/x86_64-unknown-linux-gnu/bin"
rm -rf "$B/rust-lld" "$B/gcc-ld"; ln -s "$H/rust-lld" "$B/rust-lld"; ln -s "$H/gcc-ld" "$B/gcc-ld"   # symlink, NOT copy ($ORIGIN rpath)
( cd "$OUT/npm"; npm pack --silent @yowasp/clang@22.0.0-git20542-10; tar xzf yowasp-clang-*.tgz; mkdir -p res; tar xf package/gen/llvm-resources.tar -C res )
export LD_LIBRARY_PATH="$OUT/usr/lib/x86_64-linux-gnu" RUSTC="$OUT/usr/bin/rustc" RUSTC_BOOTSTRAP=1
CARGO="$(rustup which cargo --toolchain stable 2>/dev/null || command -v cargo)"
mkdir -p "$OUT/work/p/src"; cd "$OUT/work/p"; : > src/lib.rs
printf '[package]\nname="p"\nversion="0.0.0"\nedition="2021"\n[workspace]\n' > Cargo.toml
for t in $TARGETS; do
  # Without embedded bitcode any guest with lto fails (".llvmbc not found").
  RUSTFLAGS="-Cembed-bitcode=yes" "$CARGO" build --release --target $t -Zbuild-std=std,panic_abort,test
  D="$OUT/usr/lib/rustlib/$t/lib"; mkdir -p "$D/self-contained"
  cp target/$t/release/deps/*.rlib "$D/"; rm -f "$D"/libp-*.rlib
  for f in crt1-command.o crt1-reactor.o libc.a; do cp "$OUT/npm/res/lib/wasm32-wasip1/$f" "$D/self-contained/"; done
done
touch "$OUT/.done"
echo "use: LD_LIBRARY_PATH=$OUT/usr/lib/x86_64-linux-gnu RUSTC=$OUT/usr/bin/rustc cargo build --target wasm32-wasip2"
