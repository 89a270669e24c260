#!/bin/sh
# Makes the virtual environment that the live-Envoy tests run in: install.sh VENV_DIR
# Quick where it is already there. Status 77 (skipped) where it cannot be installed.
set -u
if [ $# -ne 1 ]; then
  echo "usage: $0 VENV_DIR" >&2
  exit 2
fi
venv=$1
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
stamp=$venv/.requirements

usable() {
  [ -x "$venv/bin/python" ] && cmp -s "$here/requirements.txt" "$stamp" &&
    "$venv/bin/python" -c 'import cryptography, h2, yaml, envoy' 2>/dev/null
}

skip() {
  {
    echo '********************************************************************************'
    echo "SKIPPED: $1"
    echo 'Nothing was compared with the real Envoy. This is not a pass.'
    echo '********************************************************************************'
  } >&2
  exit 77
}

usable && exit 0
command -v python3 >/dev/null 2>&1 || skip 'there is no python3'
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || skip 'python3 is older than 3.11'
case $(uname -m) in
  x86_64 | aarch64 | arm64) ;;
  *) skip "no Envoy is published for $(uname -m)" ;;
esac
if [ -e "$venv" ]; then
  if [ ! -f "$venv/pyvenv.cfg" ]; then
    echo "$0: $venv exists and is no virtual environment" >&2
    exit 2
  fi
  rm -rf "$venv"
fi
python3 -m venv "$venv" || skip 'python3 cannot make a virtual environment (Debian: apt install python3-venv)'
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt" ||
  skip 'the packages of requirements.txt cannot be installed (no network?)'
cp "$here/requirements.txt" "$stamp"
usable || skip 'the installed packages cannot be imported'
