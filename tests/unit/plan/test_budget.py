import pytest

from vesalius.errors import PlanError
from vesalius.plan import Budget, parse_memory, parse_time


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("45s", 45), ("10m", 600), ("10min", 600), ("1.5h", 5400), ("1h30m", 5400)]
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "ten", "10 parsecs", "-5m", "0s", "1h30"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(PlanError):
        parse_time(text)


@pytest.mark.parametrize(("text", "gib"), [("8GiB", 8), ("8g", 8), ("512MiB", 0.5), ("1GB", 1e9 / 2**30), ("2", 2)])
def test_memory_is_read(text: str, gib: float) -> None:
    assert parse_memory(text) == pytest.approx(gib)


@pytest.mark.parametrize("text", ["", "lots", "0GiB", "8 apples", "-1g"])
def test_what_is_no_memory_is_refused(text: str) -> None:
    with pytest.raises(PlanError):
        parse_memory(text)


@pytest.mark.parametrize(
    "wrong", [{}, {"time_s": 1.0, "steps": 1}, {"time_s": -1.0}, {"time_s": float("nan")}, {"steps": 0}]
)
def test_a_budget_is_a_time_or_a_number_of_steps(wrong: dict[str, float]) -> None:
    with pytest.raises(PlanError):
        Budget(**wrong)  # type: ignore[arg-type]
