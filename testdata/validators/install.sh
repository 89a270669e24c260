#!/usr/bin/env bash
# install.sh FOLDER: fetches what judges the formats of `analyze` into FOLDER: Microsoft's SARIF
# validator (npm), the JUnit schema of Jenkins (it comes with pytest's sources), pre-commit, and
# readers of JSON Schema and XML Schema. Quick where all is there. What cannot be had is left out,
# and the tests that need it are skipped.
set -uo pipefail
folder=$1
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$folder"
status=0
missing() {
  echo "validators: $1 cannot be installed; its tests will be SKIPPED" >&2
  status=77
}

if [ ! -e "$folder/venv/.done" ]; then
  { python3 -m venv "$folder/venv" &&
    "$folder/venv/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt" &&
    touch "$folder/venv/.done"; } || missing "pre-commit, jsonschema, lxml"
fi
if [ ! -e "$folder/junit.xsd" ]; then
  { "$folder/venv/bin/pip" download -q --disable-pip-version-check --no-deps \
      --no-binary pytest -d "$folder/sdist" pytest==8.3.4 &&
    tar -xzOf "$folder"/sdist/pytest-8.3.4.tar.gz \
      pytest-8.3.4/testing/example_scripts/junit-10.xsd >"$folder/junit.xsd"; } ||
    { rm -f "$folder/junit.xsd"; missing "the JUnit schema"; }
fi
if [ ! -e "$folder/node_modules/.bin/sarif-multitool" ]; then
  { command -v npm >/dev/null &&
    npm install --silent --no-audit --no-fund --prefix "$folder" \
      @microsoft/sarif-multitool@5.7.0; } || missing "the SARIF validator"
fi
# npm may leave out the install script, which does no more than this.
chmod u+x "$folder"/node_modules/@microsoft/sarif-multitool-*/Sarif.Multitool 2>/dev/null
exit $status
