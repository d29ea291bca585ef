#!/bin/sh
# Asterisk 22 (PJSIP) out of Debian sid, in a chroot under build/peers/asterisk: nothing of it touches this machine.
# Needs root and debootstrap (installed from apt). About 500 MB and two minutes; `make clean` removes it.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)/build/peers/asterisk

say() { printf 'voipat: %s\n' "$*" >&2; }
[ ! -x "$root/usr/sbin/asterisk" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    say "the Asterisk peer needs root, apt-get and debootstrap: run \`make peer-asterisk\` as root on Debian or Ubuntu"
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
command -v debootstrap >/dev/null 2>&1 || { apt-get update -qq; apt-get install -y -qq --no-install-recommends debootstrap >/dev/null; }
rm -rf "$root"
say "fetching a minimal Debian sid and Asterisk into $root"
log=$(mktemp)
debootstrap --variant=minbase sid "$root" >"$log" 2>&1 || { tail -5 "$log" >&2; exit 1; }
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
chroot "$root" apt-get install -y --no-install-recommends asterisk asterisk-modules >"$log" 2>&1 || { tail -5 "$log" >&2; exit 1; }
rm -rf "$root"/var/cache/apt/archives/*.deb "$log"
say "$(chroot "$root" asterisk -V)"
