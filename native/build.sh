#!/usr/bin/env bash
# native/build.sh PYTHON...: builds the wheel of the native core, once for each content of this folder, and prints its
# path. PYTHON and what follows it is a command that runs pip. The wheel is kept outside the checkout, in
# ~/.cache/runbundle-build (XDG_CACHE_HOME is honoured), under a digest of the sources and of the kind of machine:
# another clone finds it, and cargo is needed for the first one only. Exit code 2: it would have to be built, and cargo
# is missing.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
above="${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}"
cache="${above:-$here/../.cache}/runbundle-build"
digest="$({ cd "$here" && cat Cargo.toml Cargo.lock pyproject.toml src/*.rs; uname -sm; } | { sha256sum 2>/dev/null || shasum -a 256; })"
folder="$cache/native-${digest:0:16}"

if ! compgen -G "$folder/*.whl" >/dev/null; then
  if ! command -v cargo >/dev/null; then
    echo "native/build.sh: cargo is needed to build the native core and is not on PATH; install Rust and run this again" >&2
    exit 2
  fi
  made="$(mktemp -d)"
  trap 'rm -rf "$made"' EXIT
  export CARGO_TARGET_DIR="$cache/native-target" PIP_CONSTRAINT="$here/../constraints.txt"
  "$@" wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$made" "$here" >&2
  mkdir -p "$cache"
  mv -T "$made" "$folder" 2>/dev/null || compgen -G "$folder/*.whl" >/dev/null # another has built it meanwhile
fi
compgen -G "$folder/*.whl"
