import json
import stat

import pytest

from vesalius.errors import PrivacyError
from vesalius.privacy.keys import Passphrase, new_identity
from vesalius.privacy.links import Links, add_links, read_links

WORDS = Passphrase("correct horse battery staple")
JANE = {"PatientID": "4711", "PatientName": "Doering^Jane", "days": 40}


def test_what_was_added_is_found(tmp_path):
    add_links(tmp_path / "links", Links(patients={"VA": JANE}), WORDS)
    add_links(tmp_path / "links", Links(uids={"1.2": "1.3"}, files={"a/b.nii": "Jane/scan.nii"}), WORDS)
    found = read_links(tmp_path / "links", WORDS)
    assert found.find("VA") == JANE
    assert found.find("1.2") == {"uid": "1.3"}
    assert found.find("a/b.nii") == {"file": "Jane/scan.nii"}
    with pytest.raises(PrivacyError, match="does not have this pseudonym"):
        found.find("VB")


def test_an_age_identity_opens_what_it_locked(tmp_path):
    identity, _ = new_identity()
    add_links(tmp_path / "links", Links(patients={"VA": JANE}), identity)
    add_links(tmp_path / "links", Links(patients={"VB": JANE}), identity)
    assert set(read_links(tmp_path / "links", identity).patients) == {"VA", "VB"}
    with pytest.raises(PrivacyError, match="does not open"):
        read_links(tmp_path / "links", WORDS)


def test_the_file_says_nothing_and_only_the_owner_reads_it(tmp_path):
    add_links(tmp_path / "links", Links(patients={"VA": JANE}), WORDS)
    data = (tmp_path / "links").read_bytes()
    assert b"Doering" not in data
    assert b"4711" not in bytes.fromhex(json.loads(data)["sealed"])
    assert stat.S_IMODE((tmp_path / "links").stat().st_mode) == 0o600
    assert "Doering" not in repr(read_links(tmp_path / "links", WORDS))


def test_a_wrong_key_a_flipped_bit_and_a_cut_are_refused(tmp_path):
    place = tmp_path / "links"
    add_links(place, Links(patients={"VA": JANE}), WORDS)
    with pytest.raises(PrivacyError, match="does not open"):
        read_links(place, Passphrase("wrong horse battery staple"))
    with pytest.raises(PrivacyError, match="does not open"):
        add_links(place, Links(), Passphrase("wrong horse battery staple"))
    said = json.loads(place.read_text())
    for changed in (
        said | {"sealed": said["sealed"][:-2] + f"{int(said['sealed'][-2:], 16) ^ 1:02x}"},
        said | {"sealed": said["sealed"][:-20]},
        said | {"stream": "00" * 16},
        {"kind": "vesalius links"},
        [],
    ):
        place.write_text(json.dumps(changed))
        with pytest.raises(PrivacyError, match="does not open"):
            read_links(place, WORDS)
    place.write_text("no json")
    with pytest.raises(PrivacyError, match="does not open"):
        read_links(place, WORDS)
    with pytest.raises(PrivacyError, match="no such table"):
        read_links(tmp_path / "none", WORDS)
