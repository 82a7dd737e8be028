#!/bin/sh
# What the tests of other runtimes need beside the environment of `make test`:
#
#   litert, executorch   environments in .venvs/, on top of .venv, since their packages do not go with others
#   browser              the npm package of ONNX Runtime Web, packed, and Chromium
#   hospital             Orthanc, validators and tools of DICOM, PostgreSQL
#   printing             programs that look at meshes and slice them
#
# scripts/test_setup.sh [litert] [executorch] [browser] [hospital] [printing] sets up these, or all. What is there already stays.
# What cannot be had (no network, no npm, no root) is told, and its tests are skipped with the reason; the exit code
# stays 0.
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

debian() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null ||
            told "could not be installed: $*"
    else
        told "not there, and no right to install: $*"
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
    debian chromium
}

hospital() {
    # Names of programs and packages differ: all are asked for when one of them is not there.
    path=$PATH:/usr/sbin:/usr/lib/postgresql/$(ls /usr/lib/postgresql 2>/dev/null | tail -n 1)/bin
    for program in Orthanc dciodvfy dcmdump nifti_tool postgres; do
        PATH=$path command -v "$program" >/dev/null && continue
        debian orthanc orthanc-dicomweb dcmtk dicom3tools nifti-bin postgresql
        return
    done
}

printing() {
    for program in admesh prusa-slicer; do
        command -v "$program" >/dev/null || debian "$program"
    done
}

for part in "${@:-all}"; do
    case $part in
    all) environment litert; environment executorch; browser; hospital; printing ;;
    litert | executorch) environment "$part" ;;
    browser | hospital | printing) "$part" ;;
    *) told "unknown part $part: litert, executorch, browser, hospital or printing"; exit 2 ;;
    esac
done
