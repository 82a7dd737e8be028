#!/bin/sh
# What the tests of other runtimes need beside the environment of `make test`:
#
#   litert, executorch   environments in .venvs/, on top of .venv, since their packages do not go with others
#   browser              the npm package of ONNX Runtime Web, packed, and Chromium
#
# scripts/test_setup.sh [litert] [executorch] [browser] sets up these, or all. What is there already stays. What cannot
# be had (no network, no npm, no root) is told, and its tests are skipped with the reason; the exit code stays 0.
set -u
cd "$(dirname "$0")/.." || exit 1
python=${PYTHON:-.venv/bin/python}
places=.venvs
ort=onnxruntime-web-1.30.0
mkdir -p "$places"

told() { echo "test_setup: $*" >&2; }

# An environment that finds in .venv what it does not bring itself, torch above all.
environment() {
    name=$1
    pins=scripts/constraints-$name.txt
    cmp -s "$pins" "$places/$name/.installed" && return
    rm -rf "${places:?}/$name"
    "$python" -m venv "$places/$name" || { told "no environment for $name"; return; }
    "$python" - "$places/$name" <<'END' || { told "no environment for $name"; return; }
import sys, sysconfig
from pathlib import Path

main = sysconfig.get_path("purelib")
own = Path(sysconfig.get_path("purelib", vars={"base": sys.argv[1], "platbase": sys.argv[1]}))
(own / "vesalius_main.pth").write_text(f"import site; site.addsitedir({main!r})\n")
END
    if "$places/$name/bin/python" -m pip install --quiet --disable-pip-version-check -c "$pins" -r "$pins"; then
        cp "$pins" "$places/$name/.installed"
    else
        told "$name could not be installed"
        rm -rf "${places:?}/$name"
    fi
}

browser() {
    if [ ! -f "$places/$ort.tgz" ]; then
        if command -v npm >/dev/null; then
            npm pack --silent --pack-destination "$places" "onnxruntime-web@${ort##*-}" >/dev/null ||
                told "npm could not get $ort"
        else
            told "there is no npm to get $ort"
        fi
    fi
    for name in chromium chromium-browser google-chrome; do
        command -v "$name" >/dev/null && return
    done
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium >/dev/null ||
            told "Chromium could not be installed"
    else
        told "there is no Chromium, and no right to install it"
    fi
}

for part in "${@:-all}"; do
    case $part in
    all) environment litert; environment executorch; browser ;;
    litert | executorch) environment "$part" ;;
    browser) browser ;;
    *) told "unknown part $part: litert, executorch or browser"; exit 2 ;;
    esac
done
