#!/bin/sh
# Install the Debian packages that motiontok draws with: EGL, in hardware or software; and
# Chromium, in which a test looks at the viewer's page (it skips where there is none).
# As root on a machine with apt they are installed; elsewhere the command is printed.
# Usage: system_packages.sh [PYTHON]
set -eu
python=${1:-python3}
packages="" browser=""

have_library() { ldconfig -p 2>/dev/null | grep -q "$1"; }
have_library libEGL.so.1 || packages="$packages libegl1"
have_library libEGL_mesa.so.0 || packages="$packages libegl-mesa0"
find /usr/lib -name 'swrast_dri.so' -o -name 'libgallium*.so' 2>/dev/null | grep -q . ||
    packages="$packages libgl1-mesa-dri"
"$python" -c 'import ensurepip, venv' 2>/dev/null || packages="$packages python3-venv"
command -v chromium >/dev/null || command -v google-chrome >/dev/null || browser=" chromium"

[ -n "$packages$browser" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing$packages$browser"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086  # a list of words
    [ -z "$packages" ] || apt-get install -y -qq --no-install-recommends $packages >/dev/null
    # By itself: not every distribution with apt has it as a package.
    # shellcheck disable=SC2086
    [ -z "$browser" ] || apt-get install -y -qq --no-install-recommends $browser >/dev/null ||
        echo "Going on without Chromium: the test that looks at the viewer's page skips." >&2
elif [ -n "$packages" ]; then
    echo "motiontok draws with EGL; some of it is missing here. Ask an administrator for:" >&2
    echo "    sudo apt-get install$packages" >&2
    echo "Going on: without it pictures are drawn by a slower fallback." >&2
    case "$packages" in *python3-venv*) exit 1 ;; esac
fi
