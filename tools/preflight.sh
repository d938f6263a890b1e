#!/bin/sh
# Says in one line per thing what is missing before anything is built. Reads $PYTHON and $CARGO.
set -u

python=${PYTHON:-python3}
cargo=${CARGO:-cargo}
missing=0

need() {
    printf 'missing: %s\n' "$1" >&2
    missing=1
}

# Whether version $1 is at least $2, both major.minor.
at_least() {
    [ "${1%%.*}" -gt "${2%%.*}" ] && return 0
    [ "${1%%.*}" -eq "${2%%.*}" ] || return 1
    rest=${1#*.}
    [ "${rest%%.*}" -ge "${2#*.}" ]
}

if ! version=$("$cargo" --version 2>/dev/null); then
    need "Rust >= 1.89 ('$cargo' does not run); install a Rust toolchain"
elif ! version=$(rustc --version 2>/dev/null); then
    need "Rust >= 1.89 ('rustc' does not run); install a Rust toolchain"
else
    version=${version#rustc }
    version=${version%% *}
    at_least "$version" 1.89 || need "Rust >= 1.89 (rustc is $version); update the toolchain"
fi

if ! version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null); then
    need "Python >= 3.11 ('$python' does not run); name one by make PYTHON=..."
elif ! at_least "$version" 3.11; then
    need "Python >= 3.11 ('$python' is $version); name another by make PYTHON=..."
elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    need "the modules venv and ensurepip of '$python'; some systems package them by themselves"
fi

if [ -d .venv ] && ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    need "a working .venv (its Python is gone, or it was moved); remove it with make clean"
fi

command -v cc >/dev/null 2>&1 || need "a linker ('cc'), which Rust calls; install a C compiler"

exit "$missing"
