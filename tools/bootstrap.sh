#!/bin/sh
# Makes the environment: finds Python >= 3.11 and a compiler (installs them from apt when root), then .venv.
# usage: bootstrap.sh VENV
set -eu
venv=$1

say() { printf 'voipat: %s\n' "$*" >&2; }

find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

# The apt packages that are missing for this Python, one a line.
missing_packages() {
    python=$1
    # A Python from the distribution has its headers and venv in packages of their own.
    "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 ||
        "$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
    "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' ||
        "$python" -c 'import sys; print("python%d.%d-dev" % sys.version_info[:2])'
    command -v "${CC:-cc}" >/dev/null 2>&1 || echo gcc
    printf '#include <stdio.h>\n' | "${CC:-cc}" -E - >/dev/null 2>&1 || echo libc6-dev
}

install() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "installing from apt: $*"
        DEBIAN_FRONTEND=noninteractive apt-get update -qq
        # shellcheck disable=SC2068
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $@ >/dev/null
    else
        say "missing: $*"
        say "run this as root, then call make again:  apt-get install --no-install-recommends $*"
        exit 1
    fi
}

python=$(find_python) || {
    install python3 python3-venv python3-dev
    python=$(find_python) || {
        say "no Python >= 3.11 found; name one with PYTHON=/path/to/python3"
        exit 1
    }
}
missing=$(missing_packages "$python" | tr '\n' ' ')
[ -z "$missing" ] || install $missing

[ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check 'setuptools>=77' wheel 'cython>=3.1,<4'
