import pytest

from vesalius.privacy.words import clean_text, is_term


@pytest.mark.parametrize(
    "text",
    ["", "ORIGINAL", "HELICAL", "RTSTRUCT", "CT_SOM5 SPI", "M_FFE", "B30f", "SIEMENS", "Thorax", "1.25", "FC08-H"],
)
def test_terms(text):
    assert is_term(text)


@pytest.mark.parametrize(
    "text",
    ["Schmitz", "Jane", "CNRY", "CANARY0001XQ", "123456", "12.03.1956", "a7f3e9b1", "Müller", "7h2k-9q4z-1p8x", "x\0y"],
)
def test_what_may_be_a_name_or_number_is_none(text):
    assert not is_term(text)


def test_descriptions():
    assert clean_text("AX T2 FLAIR 5mm") == "AX T2 FLAIR 5mm"
    assert clean_text("MR brain, pt. J. Schmitz, born 12/03/56, id 4711081") == "MR brain pt id"
    assert clean_text("Schmitz") == ""
