#!/bin/sh
# Makes the environment: finds Python >= 3.11 and a compiler (installs them from apt when root), then .venv.
# usage: bootstrap.sh VENV
# Of the Pythons that are there one built with PGO is taken, as the distributions' are: the others take 8-23 % more CPU
# for the same call. PYTHON=/path/to/python3 takes that one.
set -eu
venv=$1

say() { printf 'voipat: %s\n' "$*" >&2; }

is_new_enough() {
    command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# Debian and Ubuntu make theirs by `profile-opt`, which is not in what they configured.
is_optimized() {
    "$1" -c 'import sys, sysconfig
made_so = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
sys.exit(not made_so and sys.base_prefix != "/usr")' 2>/dev/null
}

CANDIDATES="python3 /usr/bin/python3 python3.13 python3.12 python3.11"

# The first new enough that passes the test named by the argument.
first_python() {
    for candidate in $CANDIDATES; do
        if is_new_enough "$candidate" && "$1" "$candidate"; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

# The one that was asked for; else an optimized one, unless what it lacks cannot be installed; else the first.
find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_new_enough "$PYTHON" && command -v "$PYTHON"
    elif can_install; then
        first_python is_optimized || first_python true
    else
        first_python is_ready || first_python true
    fi
}

is_ready() {
    is_optimized "$1" && is_complete "$1"
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

is_complete() {
    [ -z "$(missing_packages "$1")" ]
}

can_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1
}

install() {
    if can_install; then
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
    [ -z "${PYTHON:-}" ] || {
        say "PYTHON=$PYTHON is no Python >= 3.11"
        exit 1
    }
    install python3 python3-venv python3-dev
    python=$(find_python) || {
        say "no Python >= 3.11 found; name one with PYTHON=/path/to/python3"
        exit 1
    }
}
missing=$(missing_packages "$python" | tr '\n' ' ')
if [ -n "$missing" ] && ! install $missing; then
    python=$([ -z "${PYTHON:-}" ] && first_python is_complete) || {
        say "could not install: $missing"
        exit 1
    }
    say "could not install $missing: takes another Python"
fi

[ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$venv"
# Of the environment: one that is there already keeps its Python.
chosen=$("$venv/bin/python" -c 'import sys; print(sys._base_executable, "%d.%d.%d" % sys.version_info[:3])')
if is_optimized "$venv/bin/python"; then
    say "Python: $chosen"
else
    say "Python: $chosen, built without PGO: takes 8-23 % more CPU than a distribution's; PYTHON=… names another"
fi
"$venv/bin/python" -m pip install -q --disable-pip-version-check 'setuptools>=77' wheel 'cython>=3.1,<4'
