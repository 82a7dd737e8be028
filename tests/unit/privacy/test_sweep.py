"""Every attribute of the dictionary, in every form that a patient is written in; `tests/sweep.py` does all of it."""

from __future__ import annotations

import pytest
from sweep import FORMS, PROFILES, attributes, survivors

from vesalius.privacy import headers
from vesalius.privacy.elements import IMAGE_BYTES

SHARE = 6  # of the attributes, a sixth in each form: two forms or more for each of them


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_a_patient_survives_anywhere(form: str, nested: bool):
    number = list(FORMS).index(form)
    swept = attributes()[(number + nested) % SHARE :: SHARE]
    assert len(swept) > 800
    left = survivors(form, swept, *PROFILES[(number + nested) % 2], nested=nested)
    assert not set(left) - IMAGE_BYTES


@pytest.mark.parametrize("form", FORMS)
def test_the_sweep_can_fail(form: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(headers, "_standard", lambda dataset, tag, work, depth: dataset[tag])
    swept = [one for one in attributes() if one[1] in ("LO", "LT")][:20]
    assert set(survivors(form, swept)) >= {keyword for _, _, keyword in swept}
    assert survivors(form, swept, nested=True)
