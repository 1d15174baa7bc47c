#!/usr/bin/env bash
# Builds a base image for tests where no registry can be reached: a minimal Debian by debootstrap, with the Node binary of this
# project's dependencies. Needs root, debootstrap and a running engine. Usage: scripts/docker-base.sh [tag]
set -euo pipefail
cd "$(dirname "$0")/.."
tag=${1:-lamplighter-ci-base:local}
suite=${DEBIAN_SUITE:-bookworm}
if docker image inspect "$tag" >/dev/null 2>&1; then
  echo "$tag is there"
  exit 0
fi
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" >"$root.log" 2>&1 || {
  tail -n 20 "$root.log" >&2
  exit 1
}
rm -f "$root.log"
install -D -m 0755 node_modules/node/bin/node "$root/usr/local/bin/node"
chroot "$root" useradd --create-home --uid 1000 --user-group node
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
tar -C "$root" -c . | docker import - "$tag"
