"""How many planted strings survive de-identification, beside dicognito, deid and dicom-anonymizer.

    python -m venv peers && peers/bin/pip install dicognito==0.19.0 deid==0.4.13 dicom-anonymizer==2.1.0
    python benchmarks/deidentify.py --peers peers/bin/python

The peers need an environment of their own. Each tool gets the same folder: CT slices of one patient in two studies
and a JPEG-compressed image, with strings in every value representation, in nested and private sequences, overlays,
preamble, file meta, DICOMDIR and names (`tests/planted.py`). Each is used as its page says first: the basic profile or
default recipe, private elements removed where there is a switch for it. What is counted is what a byte search finds in
the results, names included.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import date
from itertools import pairwise
from pathlib import Path

from pydicom import dcmread

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from planted import Planted, plant, study_dates

KINDS = {
    "file and folder names": r"^(file|folder) name",
    "DICOMDIR": r"DICOMDIR|^its |FileSetID",
    "preamble": r"^preamble",
    "file meta": r"Application|Implementation|PrivateInformation",
    "private": r"private",
    "overlays, curves": r"^(Overlay|Curve)",
    "beside the pixels": r"pixels|JPEG|trailing",
    "UIDs": r"^UI,|UID$",
    "dates, times": r"^(DA|DT|TM),|BirthDate",
    "numbers": r"^(FD|FL|SL|SS|SV|UL|US|UV|AT|DS|IS),|number's tag",
    "bytes": r"^(OB|OD|OF|OL|OV|OW|UN),",
    "text": r"",
}
REFUSED = ("AT", "OD", "OF", "OL", "OV", "OW", "SV", "UV")
"""What dicom-anonymizer 2.1.0 does not implement: it ends at a file that has one within a sequence that it cleans."""

VESALIUS = """
import sys
from vesalius.privacy.folder import deidentify
from vesalius.privacy.profile import make_profile
deidentify(sys.argv[1], sys.argv[2], profile=make_profile(["pixels", *sys.argv[3:]]), key=b"a secret for the benchmark")
"""
DICOGNITO = """
import sys
from dicognito.__main__ import main
main(["--seed", "benchmark", "--output-dir", sys.argv[2], sys.argv[1]])
"""
DEID = """
import sys
from pathlib import Path
from deid.config import DeidRecipe
from deid.dicom import get_files, replace_identifiers
files = [str(path) for path in sorted(Path(sys.argv[1]).rglob("*")) if path.is_file()]
replace_identifiers(files, deid=DeidRecipe(), save=True, output_folder=sys.argv[2], remove_private=True)
"""
ANONYMIZER = """
import sys
from pathlib import Path
from dicomanonymizer.simpledicomanonymizer import anonymize_dicom_file
top, out = Path(sys.argv[1]), Path(sys.argv[2])
for path in sorted(path for path in top.rglob("*") if path.is_file()):
    target = out / path.relative_to(top)  # as its command does, which stops at the first file that it cannot take
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        anonymize_dicom_file(str(path), str(target))
    except Exception as error:
        print(repr(error), file=sys.stderr)
"""


def main() -> None:
    """Run every tool on the same folder, and print what survives by kind of place."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--peers", help="the Python of an environment that has the peers; without it only Vesalius runs"
    )
    args = parser.parse_args()
    tools = [
        ("Vesalius", sys.executable, VESALIUS, ()),
        ("Vesalius, dates", sys.executable, VESALIUS, ("modified-dates",)),
    ]
    if args.peers:
        peers = (("dicognito", DICOGNITO), ("deid", DEID), ("dicom-anonymizer", ANONYMIZER))
        tools += [(name, args.peers, code, ()) for name, code in peers]
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "source"
        source.mkdir()
        planted = plant(source)
        keep_dicom(source)
        there = planted.found_in(source)
        columns = [measure(name, python, code, more, source, planted, there) for name, python, code, more in tools]
        if args.peers:
            fewer = Path(place) / "fewer"
            fewer.mkdir()
            planted = plant(fewer, omit=REFUSED)
            keep_dicom(fewer)
            found = planted.found_in(fewer)
            name = f"dicom-anonymizer, of {len(found)}"
            tools.append((name, args.peers, ANONYMIZER, ()))
            columns.append(measure(name, args.peers, ANONYMIZER, (), fewer, planted, found))
    total = Counter(map(kind, there.values()))
    print("| | planted | " + " | ".join(name for name, *_ in tools) + " |")
    print("| --- |" + " ---: |" * (len(tools) + 1))
    for row in (*KINDS, "all"):
        planted_here = sum(total.values()) if row == "all" else total[row]
        print(f"| {row} | {planted_here} | " + " | ".join(column[row] for column in columns) + " |")
    for row in (
        "files of 5 written",
        "(0012,0062) and (0012,0064)",
        "40 days between studies stay",
        "second run agrees",
    ):
        print(f"| {row} | | " + " | ".join(column[row] for column in columns) + " |")
    print("| time, s | | " + " | ".join(column["seconds"] for column in columns) + " |")


def keep_dicom(folder: Path) -> None:
    """Remove the NIfTI image and its sidecar, which are nothing to the peers."""
    for path in (*folder.glob("*.nii.gz"), *folder.glob("*.json")):
        path.unlink()


def measure(
    name: str, python: str, code: str, more: tuple[str, ...], source: Path, planted: Planted, there: dict[str, str]
) -> dict[str, str]:
    """One column of the table."""
    outs = [source.parent / f"{name} {run}" for run in (1, 2)]
    started = time.perf_counter()
    for out in outs:
        out.mkdir()
        done = subprocess.run(
            [python, "-W", "ignore", "-c", code, str(source), str(out), *more],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.stderr:
            print(f"{name} ({done.returncode}): {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
    seconds = (time.perf_counter() - started) / 2
    found = planted.found_in(outs[0])
    counts = Counter(kind(what) for text, what in found.items() if text in there)
    column = {row: str(counts[row]) for row in KINDS} | {"all": str(sum(counts.values())), "seconds": f"{seconds:.1f}"}
    first, second = (datasets(out) for out in outs)
    column["files of 5 written"] = str(len(first))
    marked = [
        one.get("PatientIdentityRemoved") == "YES" and bool(one.get("DeidentificationMethodCodeSequence"))
        for one in first
    ]
    column["(0012,0062) and (0012,0064)"] = said(bool(marked) and all(marked))
    column["40 days between studies stay"] = said(intervals(first) == intervals_of(study_dates(2)))
    uids = [sorted(str(one.get("SOPInstanceUID") or "") for one in images) for images in (first, second)]
    column["second run agrees"] = said(all(uids[0]) and bool(first) and uids[0] == uids[1])
    return column


def datasets(out: Path) -> list:
    """The CT slices and the compressed image that a tool wrote."""
    found = []
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.read_bytes()[128:132] == b"DICM":
            dataset = dcmread(path)
            if "PixelData" in dataset:
                found.append(dataset)
    return found


def intervals(images: list) -> list[int]:
    """Days between the studies of the images; empty where dates are gone."""
    return intervals_of(sorted({str(image.get("StudyDate") or "") for image in images}))


def intervals_of(dates: list[str]) -> list[int]:
    """Days between dates."""
    try:
        days = [date(int(day[:4]), int(day[4:6]), int(day[6:])).toordinal() for day in dates]
    except ValueError:
        return []
    return [later - earlier for earlier, later in pairwise(days)]


def kind(place: str) -> str:
    """The row of the table that a place belongs to."""
    return next(name for name, pattern in KINDS.items() if re.search(pattern, place))


def said(yes: bool) -> str:
    """As the table has it."""
    return "yes" if yes else "no"


if __name__ == "__main__":
    main()
