"""What no role allows is refused."""

import json
from typing import get_args

import pytest

from vesalius.errors import PrivacyError
from vesalius.privacy.access import PERMISSIONS, SEPARATE, Access, Act, change_role, create_access, read_access


@pytest.mark.parametrize("role", PERMISSIONS)
def test_a_role_allows_what_its_table_says_and_nothing_else(role):
    access = Access({"ada": (role,)})
    assert {act for act in get_args(Act) if access.allows("ada", act)} == set(PERMISSIONS[role])
    assert not any(access.allows("bob", act) for act in get_args(Act))


def test_two_roles_allow_what_either_does():
    access = Access({"ada": ("annotator", "trainer")})
    assert access.allows("ada", "annotate")
    assert access.allows("ada", "train")
    assert not access.allows("ada", "reidentify")


def test_every_act_is_somebodys_and_the_rules_are_apart_from_the_names():
    assert {act for acts in PERMISSIONS.values() for act in acts} == set(get_args(Act))
    able = [role for role, acts in PERMISSIONS.items() if "reidentify" in acts or "access" in acts]
    assert frozenset(able) in SEPARATE


@pytest.mark.parametrize("name", ["role:trainer", "trainer", "account:ada", "*", ""])
def test_a_name_that_looks_like_a_role_is_none(name):
    access = Access({"ada": ("trainer",)})
    assert not access.allows(name, "train")


def test_a_refusal_says_who_could():
    with pytest.raises(PrivacyError, match="the account bob may not train here; trainer may: ask an administrator"):
        Access({"bob": ("viewer",)}).require("bob", "train")


def test_unknown_roles_and_acts_are_refused():
    with pytest.raises(PrivacyError, match="did you mean 'viewer'"):
        Access({"ada": ("viewerr",)})  # type: ignore[dict-item]
    with pytest.raises(PrivacyError, match="unknown act 'trainn'"):
        Access({}).allows("ada", "trainn")  # type: ignore[arg-type]
    with pytest.raises(PrivacyError, match="administrator and data-officer at once"):
        Access({"ada": ("administrator", "data-officer")})


def test_roles_come_and_go_in_a_file(tmp_path):
    place = tmp_path / "access.json"
    create_access(place, "ada")
    assert change_role(place, "bob", "trainer", granted=True).roles["bob"] == ("trainer",)
    assert read_access(place).allows("bob", "train")
    assert "bob" not in change_role(place, "bob", "trainer", granted=False).roles
    with pytest.raises(PrivacyError, match="last administrator"):
        change_role(place, "ada", "administrator", granted=False)
    with pytest.raises(PrivacyError, match="administrator and data-officer"):
        change_role(place, "ada", "data-officer", granted=True)
    with pytest.raises(PrivacyError, match="unknown role"):
        change_role(place, "ada", "king", granted=True)  # type: ignore[arg-type]
    with pytest.raises(PrivacyError, match="there already"):
        create_access(place, "eve")
    assert read_access(place).roles == {"ada": ("administrator",)}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "vesalius access 1", "roles": {"ada": "trainer"}}'])
def test_a_damaged_file_lets_nobody_in(tmp_path, text):
    (tmp_path / "access.json").write_text(text)
    with pytest.raises(PrivacyError):
        read_access(tmp_path / "access.json")
    with pytest.raises(PrivacyError):
        read_access(tmp_path / "nowhere.json")


def test_a_role_that_somebody_wrote_into_the_file_is_checked(tmp_path):
    told = {"format": "vesalius access 1", "roles": {"eve": ["data-officer", "administrator"]}}
    (tmp_path / "access.json").write_text(json.dumps(told))
    with pytest.raises(PrivacyError, match="at once"):
        read_access(tmp_path / "access.json")
