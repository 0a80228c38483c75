#!/usr/bin/env bash
# Takes a fresh host to a worker's first poll: user, unit, package, start. Run again, it upgrades.
#
#   install.sh VERSION [train|export]
#
# The host needs systemd and Python 3.11 or newer. The package comes from where pip is told to look
# (PIP_INDEX_URL, PIP_FIND_LINKS), held to constraints.txt beside this script or in the folder above it.
# DESTDIR puts every file below another root.
set -euo pipefail
umask 022 # root's own may keep the workers' user out of what it has to read

readonly version="${1:?Say which version: install.sh VERSION [train|export]}"
readonly kind="${2:-train}"
readonly root="${DESTDIR:-}"
readonly venv="$root/opt/receipt-layoutlm"
readonly settings="$root/etc/layoutlm/worker.env"
readonly unit="layoutlm-$kind-worker.service"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
readonly here

fail() {
    echo "error: $1" >&2
    exit "${2:-1}"
}

check_arguments() {
    [[ "$kind" == train || "$kind" == export ]] || fail "There is no $kind worker. Say train or export." 64
    [[ -n "$root" || "$EUID" -eq 0 ]] || fail "Run this as root." 77
}

# The version that constraints.txt was tested with goes first.
find_python() {
    local name
    for name in python3.11 python3.12 python3.13 python3.14 python3; do
        if "$name" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    fail "No Python 3.11 or newer with venv. Run dnf install python3.11, or apt-get install python3-venv." 69
}

install_user_and_units() {
    install -D -m 0644 "$here/receipt-layoutlm.sysusers" "$root/etc/sysusers.d/receipt-layoutlm.conf"
    systemd-sysusers "--root=${root:-/}" receipt-layoutlm.conf
    install -D -m 0644 "$here/$unit" "$root/etc/systemd/system/$unit"
    systemctl daemon-reload
}

installed_version() {
    "$venv/bin/python" -c 'import importlib.metadata as all; print(all.version("receipt-layoutlm"))' \
        2>/dev/null || echo none
}

install_package() {
    local python constraints options=()
    if [[ ! -x "$venv/bin/python" ]]; then
        python="$(find_python)"
        "$python" -m venv "$venv"
    fi
    if [[ "$(installed_version)" != "$version" ]]; then
        # A child that starts while files change would be of another version than its worker. A pattern,
        # because it may match nothing.
        systemctl stop 'layoutlm-*-worker.service'
    fi
    for constraints in "$here/constraints.txt" "$here/../constraints.txt"; do
        if [[ -f "$constraints" ]]; then
            options=(--constraint "$constraints")
            break
        fi
    done
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${options[@]}" \
        "receipt-layoutlm[$kind]==$version"
}

install_settings() {
    [[ -f "$settings" ]] && return
    install -D -m 0600 "$here/worker.env.example" "$settings"
    fail "$settings is new and empty. Fill it in, then run this again." 78
}

# A unit of Type=notify has started when SQS has answered its first poll.
start_worker() {
    systemctl enable --quiet "$unit"
    systemctl start "$unit" || fail "$unit does not start. Look why: journalctl -u $unit -n 20 -o cat" 69
    echo "$unit polls, ${SECONDS} s after this script began"
}

check_arguments
install_user_and_units
install_package
install_settings
start_worker
