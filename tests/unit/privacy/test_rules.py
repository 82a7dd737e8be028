"""Rules lie with the data and bind what is below them."""

import pytest

from vesalius.errors import PrivacyError
from vesalius.privacy.admission import find_admission
from vesalius.privacy.rules import RULES, find_rules


def test_the_nearest_rules_hold(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / RULES).write_text('register = "consent.sqlite"\naudit = "audit"')
    (tmp_path / "a" / RULES).write_text('access = "roles.json"')
    outer, inner = find_rules(tmp_path / "x.nii"), find_rules(tmp_path / "a" / "b" / "not-there.nii")
    assert outer is not None
    assert (outer.register, outer.audit, outer.access) == (str(tmp_path / "consent.sqlite"), tmp_path / "audit", None)
    assert inner is not None
    assert (inner.register, inner.audit, inner.access) == ("", None, tmp_path / "a" / "roles.json")


def test_a_link_to_data_is_under_the_rules_of_the_data(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / RULES).write_text('audit = "audit"')
    (tmp_path / "elsewhere").symlink_to(tmp_path / "data")
    assert find_rules(tmp_path / "elsewhere" / "a.nii") == find_rules(tmp_path / "data")


def test_the_password_file_of_a_server_lies_beside_the_rules(tmp_path):
    (tmp_path / RULES).write_text('register = "postgresql://ada@localhost/x?password_file=secret"')
    found = find_rules(tmp_path)
    assert found is not None
    assert found.register == f"postgresql://ada@localhost/x?password_file={tmp_path}/secret"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("register", "is damaged"),
        ("audit = 3", "is damaged"),
        ('audit = ""', "is damaged"),
        ('register = "a" # ' + "x" * 70_000, "is damaged"),
        ('adit = "x"', "unknown rule 'adit': did you mean 'audit'"),
    ],
)
def test_rules_that_cannot_be_read_let_nobody_work(tmp_path, text, words):
    (tmp_path / RULES).write_text(text)
    with pytest.raises(PrivacyError, match=words):
        find_rules(tmp_path)


def test_a_purpose_needs_a_register_and_the_other_way_round(tmp_path):
    assert find_admission(tmp_path) is None
    with pytest.raises(PrivacyError, match="none is named or configured"):
        find_admission(tmp_path, purpose="training")
    (tmp_path / RULES).write_text('register = "consent.sqlite"')
    with pytest.raises(PrivacyError, match="say for which purpose"):
        find_admission(tmp_path)
    with pytest.raises(PrivacyError, match="names another register"):
        find_admission(tmp_path, purpose="training", register=str(tmp_path / "other.sqlite"))
    with pytest.raises(PrivacyError, match="there is no register of consent"):
        find_admission(tmp_path, purpose="training")
