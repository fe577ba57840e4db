#!/bin/sh
# Run the tests on every CPython from 3.11 to 3.14 that this machine has: on PATH, or under pyenv.
set -eu
ran=0
for version in 3.11 3.12 3.13 3.14; do
    found=
    for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
        if "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then found=$candidate; break; fi
    done
    if [ -z "$found" ]; then
        echo "CPython $version: not on this machine, left out"
        continue
    fi
    echo "CPython $version: $found"
    make --no-print-directory pytest PYTHON="$found" VENV=".venv-$version"
    ran=$((ran + 1))
done
[ "$ran" -gt 0 ] || { echo "no CPython from 3.11 to 3.14 with venv was found"; exit 1; }
