#!/bin/sh
# Make .venv with the first Python 3.11 or newer on PATH (or $PYTHON). As root on Debian and Ubuntu it installs what
# Python lacks for that; otherwise it says what to install.
set -eu
cd "$(dirname "$0")/.."

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if new_enough "$python"; then echo "$python"; return; fi
    done
}

make_venv() { "$1" -m venv .venv >/dev/null 2>&1 || { rm -rf .venv; return 1; }; }

bring() { # as root, with apt
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    echo "running    apt-get install -y $*"
    DEBIAN_FRONTEND=noninteractive apt-get -qq update </dev/null >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null
}

python=$(find_python)
if [ -z "$python" ]; then
    bring python3 python3-venv || true
    python=$(find_python)
fi
if [ -z "$python" ]; then
    found=$(command -v python3 >/dev/null && python3 --version || echo none)
    echo "chaser-server needs Python 3.11 or newer; found: $found." >&2
    echo "Install one and name it: make PYTHON=/path/to/python3.12 …" >&2
    exit 1
fi
if ! make_venv "$python"; then
    bring python3-venv || true
    make_venv "$python" || {
        echo "$python cannot make a virtual environment. On Debian and Ubuntu: sudo apt-get install python3-venv" >&2
        exit 1
    }
fi
echo "installed  .venv: $("$python" --version)"
