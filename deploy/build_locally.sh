#!/usr/bin/env bash
# Build deploy/Dockerfile without a docker daemon and without a registry of images: on a base made of Debian's own
# packages. Then, inside it and as its user: the code location loads. Prints the size. Needs root, buildah, debootstrap.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d /var/tmp/cs-features-image.XXXXXX)
export BUILDAH_ISOLATION=chroot
store=(--root "$work/store" --runroot "$work/run")
# `buildah umount -a` leaves what `run` has mounted once more; the innermost goes first.
leave() {
  buildah "${store[@]}" umount -a > /dev/null || true
  awk -v inside="$work/" 'index($2, inside) == 1 {print $2}' /proc/mounts | sort -r | xargs -r -n 1 umount
  rm -rf "$work"
}
trap leave EXIT
certificates=/etc/ssl/certs/ca-certificates.crt

debootstrap --variant=minbase bookworm "$work/base" > "$work/log"
rm -rf "$work"/base/var/cache/apt/archives/*.deb "$work"/base/var/lib/apt/lists/*
base=$(buildah "${store[@]}" from scratch)
buildah "${store[@]}" copy -q "$base" "$work/base" / > /dev/null
buildah "${store[@]}" commit -q --rm "$base" debian-base > /dev/null
rm -rf "$work/base"

buildah "${store[@]}" build -q --build-arg BASE=localhost/debian-base --build-arg PIP_CERT=/run/host.crt \
  --volume "$certificates:/run/host.crt:ro" \
  -f deploy/Dockerfile -t cs-features . > "$work/id"
made=$(buildah "${store[@]}" from cs-features)
mount=$(buildah "${store[@]}" mount "$made")
test -f "$mount/app/prompts/taxonomy.yaml"
echo "base $(du -sm --exclude=opt --exclude=app "$mount" | cut -f1) MB, packages $(du -sm "$mount/opt" | cut -f1) MB," \
  "code and prompts $(du -sm "$mount/app" | cut -f1) MB, together $(du -sm "$mount" | cut -f1) MB"
# Without a database: the history of this question is in a folder.
run=(buildah "${store[@]}" run --env AWS_REGION=eu-central-1 --env DAGSTER_HOME=/tmp "$made" --)
test "$("${run[@]}" id -u)" = 10001
"${run[@]}" dagster definitions validate -m cs_features.definitions
