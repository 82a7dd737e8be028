from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phantoms import ball_case, ball_dataset

from vesalius.errors import DataError, GeometryError
from vesalius.image import Case, Dataset, Grid, LabelMap, Record


def records(patients: list[int]) -> Dataset:
    made = tuple(Record(f"c{n:03d}", (), Path("r"), f"p{p}") for n, p in enumerate(patients))
    return Dataset(made, None, ("T1",), load=lambda record, dataset: ball_case(0))


@given(st.lists(st.integers(0, 9), min_size=12, max_size=40), st.integers(2, 4), st.integers(0, 3))
def test_no_patient_is_in_two_folds(patients: list[int], count: int, seed: int) -> None:
    dataset = records(patients)
    if len(set(patients)) < count:
        with pytest.raises(DataError, match="patients"):
            dataset.folds(count)
        return
    folds = dataset.folds(count, seed=seed)
    owner = {r.id: r.patient for r in dataset.records}
    assert sorted(case for fold in folds for case in fold) == sorted(dataset.ids)
    seen: set[str] = set()
    for fold in folds:
        mine = {owner[case] for case in fold}
        assert fold
        assert not mine & seen
        seen |= mine
    assert dataset.folds(count, seed=seed) == folds


def test_folds_do_not_depend_on_the_order_of_cases() -> None:
    dataset = records(list(range(10)))
    turned = Dataset(dataset.records[::-1], None, ("T1",), load=dataset.load)
    assert dataset.folds(5) == turned.folds(5)


def test_cases_are_read_when_asked_for() -> None:
    read: list[str] = []

    def load(record: Record, dataset: Dataset) -> Case:
        read.append(record.id)
        return ball_case(0)

    dataset = Dataset(ball_dataset(4).records, None, ("T1",), load=load)
    assert read == []
    _ = dataset[2]
    assert read == ["case2"]
    assert len(list(dataset)) == 4


def test_selection_and_names() -> None:
    dataset = ball_dataset(4)
    assert dataset.select(["case3", "case1"]).ids == ("case1", "case3")
    assert dataset.patients == ("patient0", "patient1")
    with pytest.raises(DataError, match="case9"):
        dataset.select(["case9"])
    with pytest.raises(DataError, match="twice"):
        Dataset(dataset.records + dataset.records[:1], None, ("T1",), load=dataset.load)


def test_a_reference_lies_where_its_image_is() -> None:
    case = ball_case(1)
    assert case.reference is not None
    shifted = Grid(case.image.grid.shape, case.image.grid.affine + np.eye(4, k=3) * 5)
    moved = LabelMap(case.reference.array, shifted, case.reference.labels)
    with pytest.raises(GeometryError, match="5 mm apart"):
        Case("x", case.image, moved)
