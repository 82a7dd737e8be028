"""Learning from scribbles, and what is kept of it."""

import json
import struct

import numpy as np
import pytest

from vesalius.classical.pixels import MODELS, load_pixels, save_pixels, train_pixels
from vesalius.classical.pixels.features import Features
from vesalius.classical.pixels.models import learn
from vesalius.classical.pixels.trees import Trees
from vesalius.errors import BundleError, DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels, Volume

pytest.importorskip("sklearn")

LABELS = Labels.of({"background": 1, "stripes": 2, "disc": 5})


def scene(seed=0, shape=(48, 64)):
    """Noise, with a striped half and a bright disc; and what is what."""
    rng = np.random.default_rng(seed)
    i, j = np.mgrid[: shape[0], : shape[1]]
    array = rng.normal(size=shape) * 0.3
    truth = np.ones(shape, np.uint8)
    truth[:, :20] = 2
    array[:, :20] += np.sin(i * 2.0)[:, :20] * 2
    disc = (i - 24) ** 2 + (j - 45) ** 2 < 100
    truth[disc], array[disc] = 5, array[disc] + 4
    return Volume(array[None].astype(np.float32), Grid.from_spacing(shape, (1.0, 1.0))), truth


def scribbled(seed=0):
    image, truth = scene(seed)
    marks = np.zeros_like(truth)
    for row, columns in ((10, slice(2, 18)), (6, slice(26, 60)), (24, slice(40, 50)), (44, slice(22, 60))):
        marks[row, columns] = truth[row, columns]
    for column in (5, 14, 30, 58):
        marks[4:44, column] = truth[4:44, column]
    return image, LabelMap(marks, image.grid, LABELS)


@pytest.fixture(scope="module", params=MODELS)
def trained(request):
    image, marks = scribbled()
    return train_pixels([image], [marks], model=request.param, trees=20)


def test_it_tells_another_image_apart(trained):
    image, truth = scene(seed=9)
    found = trained.classify(image)
    assert found.grid == image.grid
    assert found.labels.names == ("stripes", "disc")
    assert np.mean(found.array == np.where(truth == 1, 0, truth)) > 0.85
    assert sum(trained.importances.values()) == pytest.approx(1)


def test_a_saved_one_says_the_same(trained, tmp_path):
    image, _ = scene(seed=9)
    again = load_pixels(save_pixels(trained, tmp_path / "it"))
    assert np.array_equal(again.classify(image).array, trained.classify(image).array)
    assert again.importances == pytest.approx(dict(trained.importances))
    assert again.labels == trained.labels
    save_pixels(trained, tmp_path / "it")
    assert len(list((tmp_path / "it").iterdir())) == 2


def test_probabilities_sum_to_one(trained):
    image, _ = scene(seed=9)
    if trained.name == "svm":
        with pytest.raises(DataError, match="train a forest"):
            trained.probabilities(image)
        return
    chances = trained.probabilities(image)
    np.testing.assert_allclose(chances.array.sum(axis=0), 1, rtol=1e-5)
    likeliest = np.asarray(trained.labels.values)[chances.array.argmax(axis=0)]
    assert np.array_equal(np.where(likeliest == 1, 0, likeliest), trained.classify(image).array)


@pytest.mark.parametrize("classes", [2, 3])
def test_arrays_say_what_scikit_learn_says(classes):
    rng = np.random.default_rng(1)
    features = rng.normal(size=(400, 6)).astype(np.float32)
    said = (features[:, 0] + 0.5 * features[:, 1] ** 2 > 0.3).astype(int) + (classes > 2) * (features[:, 2] > 1)
    fresh = rng.normal(size=(200, 6)).astype(np.float32)
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

    forest = RandomForestClassifier(10, class_weight="balanced", min_samples_leaf=2, random_state=3).fit(features, said)
    ours = learn("random-forest", features, said, trees=10, seed=3).model.sum(np.ascontiguousarray(fresh.T))
    np.testing.assert_allclose(ours, forest.predict_proba(fresh), atol=1e-5)
    counts = np.bincount(said)
    boosting = GradientBoostingClassifier(
        n_estimators=10, max_depth=3, subsample=0.5, max_features="sqrt", random_state=3
    ).fit(features, said, sample_weight=400 / (len(counts) * counts[said]))
    raw = learn("gradient-boosting", features, said, trees=10, seed=3).model.sum(np.ascontiguousarray(fresh.T))
    shares = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, boosting.predict_proba(fresh), atol=1e-4)


def test_the_importance_is_that_of_what_differs():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 5)).astype(np.float32)
    said = (features[:, 3] > 0).astype(int)
    for name in MODELS:
        assert learn(name, features, said, trees=20).importances.argmax() == 3


def test_volumes_and_channels():
    rng = np.random.default_rng(0)
    array = rng.normal(size=(2, 12, 16, 10)).astype(np.float32)
    array[1, :6] += 5
    image = Volume(array, Grid.from_spacing((12, 16, 10), (1.0, 1.0, 3.0)))
    marks = np.zeros((12, 16, 10), np.uint8)
    marks[2], marks[9] = 1, 2
    labels = Labels.of({"a": 1, "b": 2})
    found = train_pixels([image], [LabelMap(marks, image.grid, labels)], trees=10)
    assert np.mean(found.classify(image).array == np.where(np.arange(12) < 6, 1, 2)[:, None, None]) > 0.97
    assert any(name.startswith("channel 1: ") for name in found.importances)
    with pytest.raises(DataError, match="3D images of 2 channels"):
        found.classify(scene()[0])


def test_what_cannot_be_learnt_from_is_refused():
    image, marks = scribbled()
    empty = LabelMap(np.zeros_like(marks.array), image.grid, LABELS)
    with pytest.raises(DataError, match="seeds of at least 1"):
        train_pixels([image], [empty])
    only = LabelMap(np.where(marks.array == 2, 2, 0).astype(np.uint8), image.grid, Labels.of({"stripes": 2}))
    with pytest.raises(DataError, match="at least two classes"):
        train_pixels([image], [only])
    with pytest.raises(DataError, match="nothing is marked as 'disc'"):
        train_pixels([image], [LabelMap(np.where(marks.array == 5, 0, marks.array), image.grid, LABELS)])
    with pytest.raises(GeometryError):
        train_pixels([image], [LabelMap(marks.array, Grid.from_spacing((48, 64), (2.0, 1.0)), LABELS)])
    with pytest.raises(DataError, match="one image or more"):
        train_pixels([image], [])


def test_walks_cannot_leave_the_arrays():
    good = (np.int32([0, 0]), np.float64([0.5, np.inf]), np.int32([[1, 1], [1, 1]]), np.float32([[0], [1]]))
    Trees(*good, np.int32([0]), 1, np.float32([0]))
    with pytest.raises(DataError, match="not there"):
        Trees(*good[:2], np.int32([[1, 7], [1, 1]]), good[3], np.int32([0]), 1, np.float32([0]))
    with pytest.raises(DataError, match="fit together"):
        Trees(*good[:3], np.float32([[0]]), np.int32([0]), 1, np.float32([0]))


@pytest.fixture
def saved(tmp_path):
    image, marks = scribbled()
    return save_pixels(train_pixels([image], [marks], model="decision-tree"), tmp_path / "it")


def test_damage_is_refused(saved):
    file = next(saved.glob("*.safetensors"))
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(BundleError, match="checksum differs"):
        load_pixels(saved)
    file.write_bytes(struct.pack("<Q", 1 << 40) + data[8:])
    with pytest.raises(BundleError, match="checksum differs"):
        load_pixels(saved)
    file.unlink()
    with pytest.raises(BundleError, match="there is no pixels-"):
        load_pixels(saved)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "else"},
        {"arrays": {"file": "../../etc/passwd", "sha256": "00"}},
        {"labels": {}},
        {"ndim": 3},
        {"model": "svm"},
        {"features": {"scales_mm": [1], "families": ["unheard"]}},
        {"numbers": {"depth": 10**9}},
        {"importances": {}},
    ],
    ids=str,
)
def test_a_description_that_contradicts_itself_is_refused(change, saved):
    path = saved / "pixels.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BundleError):
        load_pixels(saved)


def test_ct_is_not_scaled():
    image, marks = scribbled()
    from dataclasses import replace

    ct = Volume(image.array, image.grid, replace(image.meta, modality="CT"))
    assert train_pixels([ct], [marks], model="decision-tree").features.scaling == "none"
    assert train_pixels([image], [marks], model="decision-tree").features == Features((0.7, 1.6, 3.5, 5.0))
