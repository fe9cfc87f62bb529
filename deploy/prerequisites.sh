#!/usr/bin/env bash
# Checks what Offhook is built with and says how to get what is missing. Changes nothing.
set -u
missing=0

# at_least NEEDED FOUND: true if FOUND is NEEDED or newer
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

need() { # NAME NEEDED FOUND HOW
  if [ -z "$3" ]; then
    echo "missing: $1 $2 or newer. $4" >&2; missing=1
  elif ! at_least "$2" "$3"; then
    echo "too old: $1 $3; $2 or newer is needed. $4" >&2; missing=1
  fi
}

version() { "$@" 2>/dev/null | grep -oE '[0-9]+\.[0-9]+(\.[0-9]+)?' | head -n 1; }

need "Python" 3.11 "$(version python3 --version)" "Debian, Ubuntu: apt install python3 python3-venv"
need "Rust" 1.85 "$(version cargo --version)" "Install it with rustup: https://rustup.rs"
need "Node" 20 "$(version node --version)" "Install it from https://nodejs.org or your distribution"
need "npm" 10 "$(version npm --version)" "It comes with Node"
command -v cc >/dev/null || { echo "missing: a C compiler (for the cryptography and Opus libraries). Debian, Ubuntu: apt install build-essential" >&2; missing=1; }
python3 -c 'import ensurepip, venv' 2>/dev/null || { echo "missing: Python's venv module. Debian, Ubuntu: apt install python3-venv" >&2; missing=1; }

if [ "$missing" -ne 0 ]; then
  echo "Install these and run the command again." >&2
  exit 1
fi
