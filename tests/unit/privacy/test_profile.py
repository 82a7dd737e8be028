import json
from importlib.resources import files

import pytest
from pydicom.datadict import dictionary_VR

from vesalius.errors import PrivacyError
from vesalius.privacy.profile import CODES, OPTIONS, make_profile, safe_private


def test_the_table_is_the_standard_s():
    said = json.loads((files("vesalius.privacy") / "data" / "ps315.json").read_text())
    assert said["edition"] == "2026d"
    assert len(said["attributes"]) == 656
    actions = {row[0] for row in said["attributes"].values()}
    assert actions == {"X", "Z", "D", "U", "X/Z", "X/D", "Z/D", "X/Z/D", "X/Z/U*"}


def test_every_date_of_the_table_has_the_options_for_dates():
    said = json.loads((files("vesalius.privacy") / "data" / "ps315.json").read_text())["attributes"]
    unusual = []
    for tag, row in said.items():
        try:
            vr = dictionary_VR(int(tag, 16))
        except (KeyError, ValueError):
            continue
        options = row[1] if len(row) > 1 else {}
        if vr in ("DA", "DT", "TM") and {**options, "full-dates": "K", "modified-dates": "C"} != options:
            unusual.append(tag)
        if row[0] == "U":
            assert vr == "UI"
    assert "00100030" in unusual  # the date of birth is no date of a study
    assert len(unusual) < 12


def test_all_options_of_the_standard_have_codes():
    assert sorted(code for code, _ in CODES.values()) == [str(113101 + number) for number in range(12)]
    assert set(CODES) == set(OPTIONS)


@pytest.mark.parametrize(
    ("tag", "options", "action"),
    [
        (0x00100010, (), "empty"),
        (0x00100040, (), "empty"),
        (0x00100040, ("patient-characteristics",), "keep"),
        (0x00080020, ("modified-dates",), "shift"),
        (0x00080020, ("full-dates",), "keep"),
        (0x0008103E, ("descriptors",), "clean"),
        (0x00081140, (), "uid"),
        (0x00081140, ("uids",), "keep"),
        (0x60003000, (), "remove"),
        (0x601E4000, (), "remove"),
        (0x50123000, (), "remove"),
        (0x00280010, (), None),
        (0x00081000, ("device",), "clean"),
        (0x30060026, ("descriptors",), "clean"),
        (0x00100046, ("patient-characteristics",), "keep"),
        (0x04000564, ("institution",), "keep"),
        (0x0040B020, ("structured-content",), "clean"),
        (0x00181200, ("device",), "keep"),
        (0x00181200, ("device", "modified-dates"), "shift"),
        (0x00181200, ("device", "full-dates"), "keep"),
        (0x00081120, ("uids",), "keep"),
    ],
)
def test_actions(tag, options, action):
    assert make_profile(options).action(tag) == action


def test_wrong_options_are_refused():
    with pytest.raises(PrivacyError, match="did you mean 'device'"):
        make_profile(["devices"])
    with pytest.raises(PrivacyError, match="one of the two"):
        make_profile(["full-dates", "modified-dates"])


def test_safe_private_elements_are_known_by_their_creator():
    assert safe_private("Philips PET Private Group", 0x70531109) == "DS"
    assert safe_private("Somebody else", 0x70531109) is None
    assert safe_private("SIEMENS MR HEADER", 0x0019100C) == "IS"
    assert safe_private("Philips Imaging DD 097", 0x20011101) == "SQ"
    assert safe_private("NQRight", 0x02991016) == "FL"
    assert safe_private("NQRight", 0x02991017) is None


def test_every_safe_private_element_has_a_kind_of_value():
    from vesalius.privacy.elements import BYTES, NUMBERS, TEXT

    said = json.loads((files("vesalius.privacy") / "data" / "safe_private.json").read_text())["creators"]
    kinds = {vr for rows in said.values() for vr in rows.values()}
    assert kinds <= {*BYTES, *NUMBERS, *TEXT, "DS", "IS", "SQ", "UI"}
    assert sum(len(rows) for rows in said.values()) == 474
