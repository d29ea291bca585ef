#!/bin/sh
# Unpacks the servers that `make bench` compares with (Kamailio, rtpengine) under build/peers, out of the distribution's
# packages. Nothing is installed: no root, no service, no listener; `make clean` removes them.
set -eu
packages="kamailio kamailio-tls-modules rtpengine-daemon"
peers=$(cd "$(dirname "$0")/.." && pwd)/build/peers
root=$peers/root

say() { printf 'voipat: %s\n' "$*" >&2; }
[ "$(cat "$peers/.done" 2>/dev/null)" != "$packages" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
    say "the peers come out of Debian packages and this machine has no apt-get; \`make bench\` runs without them"
    exit 1
fi

# Lists and archives of our own; what is already installed is read, so that only what is missing is fetched.
mkdir -p "$peers/state/lists/partial" "$peers/cache/archives/partial" "$root"
apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dir::State="$peers/state" -o Dir::State::status=/var/lib/dpkg/status \
        -o Dir::Cache="$peers/cache" -o Debug::NoLocking=1 -o APT::Sandbox::User= "$@"
}
say "fetching and unpacking: $packages"
apt update
# shellcheck disable=SC2086
apt install -y --no-install-recommends --reinstall --download-only $packages >/dev/null
for archive in "$peers"/cache/archives/*.deb; do
    dpkg-deb -x "$archive" "$root"
done
rm -rf "$peers/state" "$peers/cache"
echo "$packages" >"$peers/.done"
