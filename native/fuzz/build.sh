#!/usr/bin/env bash
# native/fuzz/build.sh: builds the fuzz targets, once for each content of this folder and of the core, and prints the
# folder in which they are. It is kept outside the checkout, beside the wheel of the core (see native/build.sh). The flags
# are those of `cargo fuzz build --sanitizer none`, which a stable compiler knows, so that cargo-fuzz is not needed.
# Exit code 2: they would have to be built, and cargo or a compiler for C++, in which libFuzzer is written, is missing.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
above="${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}"
cache="${above:-$here/../../.cache}/runbundle-build"
names=(bundle journal json seal)
digest="$({ cd "$here" && cat build.sh build.rs Cargo.toml Cargo.lock words.json targets/*.rs src/*.rs src/*/*.rs ../src/*.rs; uname -sm; } | { sha256sum 2>/dev/null || shasum -a 256; })"
folder="$cache/native-fuzz-${digest:0:16}"

if ! [ -d "$folder" ]; then
  for tool in cargo "${CXX:-c++}"; do
    if ! command -v "$tool" >/dev/null; then
      echo "native/fuzz/build.sh: $tool is needed to build the fuzz targets and is not on PATH" >&2
      exit 2
    fi
  done
  mkdir -p "$cache"
  made="$(mktemp -d "$cache/native-fuzz-made-XXXXXX")"
  trap 'rm -rf "$made"' EXIT
  coverage="-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
  coverage="$coverage -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
  # For a target that is named the flags are not those of build scripts, which have no libFuzzer.
  host="$(rustc -vV | sed -n 's/^host: //p')"
  export CARGO_TARGET_DIR="$cache/native-fuzz-target"
  export RUSTFLAGS="-Cpasses=sancov-module $coverage -Cdebug-assertions -Ccodegen-units=1 --cfg fuzzing"
  cargo build --quiet --locked --release --manifest-path "$here/Cargo.toml" --target "$host" >&2
  for name in "${names[@]}"; do cp "$CARGO_TARGET_DIR/$host/release/$name" "$made"; done
  mv -T "$made" "$folder" 2>/dev/null || [ -d "$folder" ] # another has built it meanwhile
fi
echo "$folder"
