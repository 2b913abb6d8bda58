#!/bin/sh
# Make a virtual environment. Debian and Ubuntu keep the part of Python that does this in a package of its own.
set -u
venv=$1; python=${PYTHON:-python3.11}
if ! command -v "$python" >/dev/null 2>&1; then
    echo "error: $python is not installed. Install Python 3.11 (Debian 12: apt-get install python3.11), or name another: make PYTHON=python3.12" >&2; exit 2
fi
rm -rf "$venv"
"$python" -m venv "$venv" >/dev/null 2>&1 && exit 0
rm -rf "$venv"
v=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing $v" >&2
    apt-get update -qq >/dev/null 2>&1; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$v" >/dev/null 2>&1
    "$python" -m venv "$venv" >/dev/null 2>&1 && exit 0
    rm -rf "$venv"
fi
echo "error: $python cannot make virtual environments. Run 'sudo apt-get install $v' and then the same command again." >&2
exit 2
