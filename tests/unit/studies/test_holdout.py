"""Which cases a study holds out, and how a budget becomes folds."""

import pytest
from phantoms import ball_dataset

from vesalius.bundle import Card
from vesalius.errors import DataError
from vesalius.studies.holdout import folds_for, hold_out, train
from vesalius.studies.study import Setting


@pytest.mark.parametrize(
    ("patients", "budget_s", "folds"), [(3, 1800, 3), (300, 1800, 5), (300, 1200, 4), (10, 90, 1), (2, 5000, 2)]
)
def test_folds_take_five_minutes_each(patients: int, budget_s: float, folds: int) -> None:
    assert folds_for(patients, budget_s) == folds


def test_a_third_of_the_patients_is_held_out() -> None:
    dataset = ball_dataset(12)  # two cases a patient
    held_out = hold_out(dataset)
    patients = {record.id: record.patient for record in dataset.records}
    assert len({patients[case] for case in held_out}) == 2
    assert len(held_out) == 4
    with pytest.raises(DataError, match="at least two patients"):
        hold_out(ball_dataset(2))


@pytest.mark.parametrize("folds", [1, 2])
def test_no_network_is_asked_about_what_it_has_learnt(tmp_path, folds: int, monkeypatch) -> None:
    monkeypatch.setattr("vesalius.plan.measure.step_seconds", lambda *_, **__: 0.01)
    dataset = ball_dataset(6)
    trained = train(dataset, tmp_path / "ball", Setting(steps=2, device="cpu"), card=Card(name="ball"), folds=folds)
    asked = {cases: segmenter for segmenter, cases in trained.segmenters(device="cpu")}
    assert len(asked) == folds
    if folds == 1:
        assert next(iter(asked)) == hold_out(dataset)
    else:
        assert sorted(case for cases in asked for case in cases) == sorted(dataset.ids)
        for cases, segmenter in asked.items():
            assert cases == dataset.folds(2)[segmenter.members[0]]
