#!/usr/bin/env bash
# Builds the Collector of builder-config.yaml, once for each manifest and machine, and prints the path of the binary.
# It is kept outside the checkout, in ~/.cache/runbundle-build (XDG_CACHE_HOME is honoured), under a digest of the
# manifest and of the kind of machine: another clone finds it, and Go is needed for the first one only.
# .cache/collector/otelcol-runbundle in this checkout leads there. With --if-built nothing is built: exit code 3 says
# that it would have to be. Exit code 2: it would have to be, and Go is missing.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
manifest="$here/builder-config.yaml"
above="${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}"
cache="${above:-$here/../.cache}/runbundle-build"
digest="$({ cat "$manifest"; uname -sm; } | { sha256sum 2>/dev/null || shasum -a 256; })"
binary="$cache/collector-${digest:0:16}"

# Prints where the binary is, and leaves a link to it in the checkout.
found() {
  mkdir -p "$here/../.cache/collector"
  ln -sfn "$binary" "$here/../.cache/collector/otelcol-runbundle"
  echo "$binary"
}

if [[ -x "$binary" ]]; then
  found
  exit 0
fi

if ! command -v go >/dev/null; then
  echo "collector/build.sh: Go is needed to build the Collector and 'go' is not on PATH;" \
    "install Go 1.26 or newer and run this again" >&2
  exit 2
fi

if [[ "${1:-}" == --if-built ]]; then
  echo "collector/build.sh: the Collector is not built yet; make collector builds it, in some minutes" >&2
  exit 3
fi

# The builder is of the release whose modules it compiles, so the manifest is the one place that names a version.
release="$(sed -n 's|^.*collector/receiver/otlpreceiver \(v[0-9.]*\)$|\1|p' "$manifest")"
if [[ -z "$release" ]]; then
  echo "collector/build.sh: no otlpreceiver version in $manifest" >&2
  exit 1
fi

# Two packages at a time, or a small machine runs out of memory. The sources lie in somebody's git checkout, of which
# the binary is no version.
GOFLAGS="$(go env GOFLAGS) -p=2 -buildvcs=false"
export GOFLAGS

# All is made in a folder of its own and moved in place whole: an interrupted build leaves nothing behind that looks
# finished, and two that build at once do not meet.
mkdir -p "$cache"
find "$cache" -maxdepth 1 -name 'building-*' -mmin +1440 -exec rm -rf {} +  # of builds that were killed
work="$(mktemp -d "$cache/building-XXXXXX")"
trap 'rm -rf "$work"' EXIT

builder="$cache/builder-$release"
if [[ ! -x "$builder" ]]; then
  GOBIN="$work" go install "go.opentelemetry.io/collector/cmd/builder@$release" >&2
  mv "$work/builder" "$builder"
fi

# output_path in the manifest is relative to the working directory.
cd "$work"
"$builder" --config "$manifest" >&2
mv _build/otelcol-runbundle "$binary"
found
