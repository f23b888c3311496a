#!/usr/bin/env bash
# Installs with apt-get, where it can, the programs that the tests run and pip does not bring, and
# says so. It never fails: a test without its program is skipped, or fails with CI=true.
set -uo pipefail

# Debian's PostgreSQL is outside of PATH.
PATH=$PATH:$(printf '%s:' "${POSTGRESQL:-/usr/lib/postgresql}"/*/bin)

missing=() packages=()
needs() { # a command, and Debian's packages for it
    command -v "$1" >/dev/null && return
    missing+=("$1")
    packages+=("${@:2}")
}
needs chromium chromium fonts-dejavu-core
needs redis-server redis-server
needs postgres postgresql
needs curl curl
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo -n)
apt_get() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get --quiet=2 \
        --option Acquire::http::Timeout=20 --option DPkg::Lock::Timeout=60 "$@" </dev/null 2>&1
}

cannot() { echo "Tests run without ${missing[*]}: $*"; }
if ! command -v apt-get >/dev/null; then
    cannot "there is no apt-get"
elif ! "${as_root[@]}" true 2>/dev/null; then
    cannot "apt-get needs root, or sudo without a password"
elif said=$(apt_get update; apt_get install --yes --no-install-recommends "${packages[@]}"); then
    echo "Installed for the tests: ${packages[*]}"
else
    cannot "apt-get: ${said##*$'\n'}"
fi
exit 0
