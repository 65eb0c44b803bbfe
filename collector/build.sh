#!/usr/bin/env bash
# Builds the Collector of builder-config.yaml to .cache/collector/otelcol-runbundle in this checkout.
# Needs Go; does nothing while the binary is newer than builder-config.yaml. Prints the path of the binary.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
manifest="$here/builder-config.yaml"
cache="$here/../.cache/collector"
mkdir -p "$cache"
cache="$(cd "$cache" && pwd)"
binary="$cache/otelcol-runbundle"

if [[ -x "$binary" && "$binary" -nt "$manifest" ]]; then
  echo "$binary"
  exit 0
fi

if ! command -v go >/dev/null; then
  echo "collector/build.sh: Go is needed to build the Collector and 'go' is not on PATH;" \
    "install Go 1.26 or newer and run this again" >&2
  exit 2
fi

# The builder is of the release whose modules it compiles, so the manifest is the one place that names a version.
release="$(sed -n 's|^.*collector/receiver/otlpreceiver \(v[0-9.]*\)$|\1|p' "$manifest")"
if [[ -z "$release" ]]; then
  echo "collector/build.sh: no otlpreceiver version in $manifest" >&2
  exit 2
fi

# Two packages at a time, or a small machine runs out of memory. The sources lie in somebody's git checkout, of which
# the binary is no version.
GOFLAGS="$(go env GOFLAGS) -p=2 -buildvcs=false"
export GOFLAGS

builder="$cache/builder-$release"
if [[ ! -x "$builder" ]]; then
  GOBIN="$cache" go install "go.opentelemetry.io/collector/cmd/builder@$release" >&2
  mv "$cache/builder" "$builder"
fi

# output_path in the manifest is relative to the working directory. The binary is moved in place whole, so that an
# interrupted build leaves none behind that looks finished.
cd "$cache"
"$builder" --config "$manifest" >&2
mv _build/otelcol-runbundle "$binary"
echo "$binary"
