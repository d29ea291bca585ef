#!/bin/sh
# Installs the peers that the interop tests talk to, as programs only: nothing starts as a service. And the library of
# a codec that voipat has as a plug-in, so that its tests have it.
set -eu
packages="sip-tester baresip-core linphone-cli sipsak tshark libbcg729-0"
programs="sipp baresip linphonec sipsak tshark"

say() { printf 'voipat: %s\n' "$*" >&2; }
missing=""
for program in $programs; do
    command -v "$program" >/dev/null 2>&1 || missing="$missing $program"
done
PATH="$PATH:/sbin:/usr/sbin" ldconfig -p | grep -q libbcg729.so.0 || missing="$missing libbcg729"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    say "the tests need:$missing"
    say "run this as root, then call make again:  apt-get install --no-install-recommends $packages"
    exit 1
fi

# Debian starts a service on install unless this file forbids it.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
listeners() { cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 2>/dev/null | awk '$4=="0A"||$4=="07"{print $2}' | sort -u; }
before=$(listeners)
say "installing from apt:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# tshark only reads files here: nobody needs to capture without being root.
echo "wireshark-common wireshark-common/install-setuid boolean false" | debconf-set-selections
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $packages >/dev/null
after=$(listeners)
[ "$before" = "$after" ] || say "note: the machine's listeners changed while the peers were installed"
