"""Signatures as options: types there and back."""

import argparse
from typing import Literal

import pytest

from vesalius.classical import METHODS, find
from vesalius.cli.signature import add_options, description, parameters, read_options, read_texts, summary
from vesalius.errors import DataError, VesaliusError
from vesalius.image import Grid, LabelMap, Volume

GRID = Grid.from_spacing((4, 4), (1.0, 1.0))


def method(
    image: Volume,
    *,
    seeds: LabelMap | None = None,
    sigma_mm: float = 1.0,
    count: int | None = None,
    exact: bool = False,
    way: Literal["fast", "slow", 3] = "fast",
    window_hu: tuple[float, float] | None = None,
    levels: tuple[int, ...] = (1, 2),
    name: str = "thing",
    both: int | Literal["auto"] = "auto",
) -> LabelMap:
    """Do it, 50 % of the time.

    More ``words``.

    Args:
        image: What to do it to.
        seeds: Where to begin.
        sigma_mm, count: How much, mm,
            and how often.
        exact: Whether 100 % right.
        way: In which way; see `method`.

    Returns:
        Nothing.
    """


def read(*arguments):
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_options(parser, method, title="options")
    return read_options(parser.parse_args(arguments), method, GRID)


def test_what_is_left_out_is_left_to_the_function():
    assert read() == {}


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["--sigma-mm", "-2.5"], -2.5),
        (["--count", "3"], 3),
        (["--count", "none"], None),
        (["--exact"], True),
        (["--no-exact"], False),
        (["--way", "slow"], "slow"),
        (["--way", "3"], 3),
        (["--window-hu", "-160,240"], (-160.0, 240.0)),
        (["--window-hu=-160, 240"], (-160.0, 240.0)),
        (["--levels", "5"], (5,)),
        (["--levels", "5,6,7"], (5, 6, 7)),
        (["--name", "x"], "x"),
        (["--both", "auto"], "auto"),
        (["--both", "7"], 7),
    ],
)
def test_texts_become_values_of_the_type(arguments, value):
    (found,) = read(*arguments).values()
    assert found == value
    assert type(found) is type(value)


def test_seeds_are_read_on_the_grid_of_the_image():
    assert read("--seeds", "a=1,1; b=2,2")["seeds"].counts() == {0: 14, 1: 1, 2: 1}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sigma-mm", "wide"], "--sigma-mm must be a number, not 'wide'"),
        (["--sigma-mm", "nan"], "--sigma-mm must be a number"),
        (["--sigma-mm", "none"], "--sigma-mm must be a number"),
        (["--count", "1.5"], "--count must be a whole number or none"),
        (["--way", "medium"], "one of fast, slow, 3, not 'medium'"),
        (["--window-hu", "1,2,3"], "values with commas .*or none"),
        (["--both", "x"], "a whole number or one of auto"),
        (["--seeds", "a=9,9"], "outside"),
    ],
)
def test_texts_that_do_not_fit(arguments, words):
    with pytest.raises(DataError, match=words):
        read(*arguments)


def test_the_help_says_what_the_docstring_says():
    told = {p.name: p.help for p in parameters(method)}
    assert told["seeds"] == "Where to begin."
    assert told["sigma_mm"] == told["count"] == "How much, mm, and how often."
    assert told["way"] == "In which way; see method."
    assert summary(method) == "Do it, 50 % of the time."
    assert description(method) == "Do it, 50 % of the time. More words."
    parser = argparse.ArgumentParser()
    add_options(parser, method, title="options")
    words = " ".join(parser.format_help().split())
    assert "Whether 100 % right. (default no)" in words
    assert "--levels N,…" in words


def test_texts_by_name():
    assert read_texts(method, {"sigma-mm": "2", "exact": "yes"}) == {"sigma_mm": 2.0, "exact": True}
    with pytest.raises(VesaliusError, match="did you mean 'sigma_mm'"):
        read_texts(method, {"sigma": "2"})

    def needs(image: Volume, *, size_mm: float) -> Volume: ...

    with pytest.raises(DataError, match="needs size_mm"):
        read_texts(needs, {})


@pytest.mark.parametrize("name", METHODS)
def test_every_parameter_of_a_method_is_told_and_can_be_written(name):
    function = find(name)
    lacking = [p.name for p in parameters(function) if not p.help]
    assert lacking == []
    parser = argparse.ArgumentParser()
    add_options(parser, function, title="options")
    assert summary(function)
