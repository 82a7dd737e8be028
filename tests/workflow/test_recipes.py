"""The recipes whose weights do not ship: they read their data, keep persons apart, fit and score; tables follow."""

import importlib
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vesalius.bundle import Bundle, Card
from vesalius.errors import FormatError
from vesalius.image import Case, Grid, LabelMap, Labels, Volume
from vesalius.io import write
from vesalius.io.layouts import index
from vesalius.plan import Budget

MODELS = Path(__file__).resolve().parents[2] / "models"
# recipe: its folder, cases that teach, cases and persons held out, labels
REAL = {
    "retina-vessels": ("chasedb1", 10, 4, 2, ("vessel",)),
    "fetal-head": ("hc18_fetal_us", 11, 6, 6, ("fetal head",)),
    "acdc-heart": ("acdc_cine_mr", 6, 6, 3, ("right ventricle", "myocardium", "left ventricle")),
    "em-membrane": ("isbi2012_em", 15, 5, 5, ("membrane",)),
    "polyp": ("kvasir_seg", 30, 10, 10, ("polyp",)),
    "breast-lesion": ("busi_breast_us", 10, 6, 6, ("lesion",)),
    "skin-lesion": ("isic2017", 2, 1, 1, ("lesion",)),
}


@pytest.fixture
def module(monkeypatch):
    """The scripts beside the recipes, which find one another as when they are run."""
    monkeypatch.syspath_prepend(MODELS)
    ours = ("recipes", "fit", "tables")
    before = {name: sys.modules.pop(name) for name in ours if name in sys.modules}
    yield importlib.import_module
    for name in ours:
        sys.modules.pop(name, None)
    sys.modules.update(before)


def test_every_recipe_has_its_page_its_card_and_a_line(module):
    names = set(module("recipes").RECIPES)
    assert names == set(REAL)
    table = (MODELS / "README.md").read_text(encoding="utf-8")
    for name in names:
        card = Card(**json.loads((MODELS / name / "card.json").read_text(encoding="utf-8")))
        assert card.name == name
        assert card.data
        assert card.data_licence
        assert card.suited is not None
        page = (MODELS / name / "README.md").read_text(encoding="utf-8")
        assert f"python models/fit.py {name} ../shared/data/{REAL[name][0]} {name} " in page
        assert f"[{name}]({name}/README.md)" in table


def test_the_pages_say_what_the_scores_say(module):
    assert module("tables").main(["--check"]) == 0


@pytest.mark.parametrize("name", REAL)
def test_real_data_are_read_and_no_person_is_on_both_sides(shared_data, module, name):
    folder, taught, cases, persons, labels = REAL[name]
    recipe = module("recipes").RECIPES[name]
    dataset = recipe.read(shared_data / folder)
    teaching, held_out = module("fit").split(dataset, recipe)
    assert (len(teaching), len(held_out), len(held_out.patients)) == (taught, cases, persons)
    assert set(teaching.patients).isdisjoint(held_out.patients)
    assert dataset.labels.names == labels
    case = held_out[0]
    assert set(case.reference.counts()) <= dataset.labels.declared
    assert case.reference.array.any()


def test_what_is_drawn_white_inside_cells_is_no_membrane(shared_data, module):
    case = module("recipes").RECIPES["em-membrane"].read(shared_data / "isbi2012_em")[0]
    inside = case.reference.array == 0
    assert 0.1 < case.reference.array.mean() < 0.4
    assert case.image.array[0][inside].mean() > case.image.array[0][~inside].mean()  # membranes are dark


@pytest.mark.parametrize("name", ["acdc-heart", "fetal-head", "skin-lesion"])
def test_plans_do_not_depend_on_the_machine(shared_data, module, monkeypatch, name):
    monkeypatch.setattr("vesalius.plan.measure.step_seconds", lambda *_, **__: pytest.fail("the machine was timed"))
    recipe, fit = module("recipes").RECIPES[name], module("fit")
    teaching, _ = fit.split(recipe.read(shared_data / REAL[name][0]), recipe)
    plan = fit.planned(teaching, recipe, Budget(time_s=480))
    assert plan.patch_size == recipe.patch_size
    network = plan.network.inner if name == "acdc-heart" else plan.network
    assert network.features == recipe.features
    assert "set by the recipe" in plan.why("network")
    if name == "acdc-heart":
        assert (plan.configuration, plan.preparation.own_spacing) == ("2.5d", (2,))


def test_the_rules_of_who_is_held_out(module, pictures):
    recipes, dataset = module("recipes"), index(pictures)
    assert dataset.patients == tuple(f"p{n:02d}" for n in range(1, 9))
    assert recipes.every(4)(dataset) == ("p02L", "p02R", "p06L", "p06R")
    assert recipes.far_end(0.25)(dataset) == ("p07L", "p07R", "p08L", "p08R")
    sexes = replace(
        dataset, records=tuple(replace(r, groups={"sex": "fm"[r.patient < "p07"]}) for r in dataset.records)
    )
    assert recipes.every(4, group="sex")(sexes) == ("p02L", "p02R", "p06L", "p06R", "p08L", "p08R")


@pytest.fixture
def pictures(tmp_path, rng):
    """Two eyes of eight persons, each with a bright square that is to be found."""
    grid = Grid((48, 48), np.eye(3))
    for person in range(1, 9):
        for side in "LR":
            picture, drawn = rng.integers(20, 60, (3, 48, 48)).astype(np.uint8), np.zeros((48, 48), np.uint8)
            i, j = rng.integers(4, 24, 2)
            picture[:, i : i + 16, j : j + 16] += 150
            drawn[i : i + 16, j : j + 16] = 1
            for place, array in (("images", picture), ("masks", drawn[None])):
                (tmp_path / "set" / place).mkdir(parents=True, exist_ok=True)
                write(Volume(array, grid), tmp_path / "set" / place / f"p{person:02d}{side}.png")
    return tmp_path / "set"


def test_end_to_end(module, pictures, tmp_path, monkeypatch, capsys):
    """Fitted by a few steps, scored by the script; the bundle, its card and the tables say the same."""
    recipes, fit, tables = (module(name) for name in ("recipes", "fit", "tables"))
    quick = recipes.Recipe(
        read=recipes._named("polyp"),
        held_out=recipes.every(2),
        unseen="{cases} pictures of {persons} persons",
        features=(8, 16, 32),
        patch_size=(48, 48),
        batch_size=2,
        settings=recipes._FEW_STEPS,
        measures=lambda folder, seen: {"sizes": recipes.agreement({one.case.id: (1.0, 2.0) for one in seen}, "mm")},
    )
    monkeypatch.setitem(recipes.RECIPES, "polyp", quick)
    out, scores = tmp_path / "bundle", tmp_path / "scores.json"
    command = ["polyp", str(pictures), str(out), "--steps", "12", "--scores", str(scores), "--device", "cpu"]
    assert fit.main(command) == 0
    told = json.loads(scores.read_text(encoding="utf-8"))
    assert (told["cases"], told["persons"], len(told["each"])) == (8, 4, 8)
    card = Bundle.load(out).card
    assert card.scores == told["scores"]
    assert card.scores_on == "8 pictures of 4 persons"
    assert Bundle.load(out).provenance["training_cases"] == 8
    assert card.scores["mean"] == pytest.approx(
        np.mean([one["polyp"]["dice"] for one in told["each"].values()]), abs=1e-4
    )
    assert told["metrics"]["polyp"]["dice"] == pytest.approx(card.scores["polyp"], abs=1e-4)
    shown = tables.block(told)
    assert f"| polyp | {card.scores['polyp']:.3f} | – |" in shown
    assert "| sizes, mm | 8 | 0 | 1.00 | -1.00 | -1.00 to -1.00 |" in shown
    capsys.readouterr()
    assert fit.main(command) == 1  # a run stands there
    assert "resume" in capsys.readouterr().err
    assert fit.main([*command, "--resume"]) == 0
    assert json.loads(scores.read_text(encoding="utf-8"))["scores"] == told["scores"]


# --- measures ---------------------------------------------------------------------------------------------------------


def test_circumferences_beside_the_sonographers(module, tmp_path):
    recipes = module("recipes")
    (tmp_path / "t.csv").write_text("filename,pixel_size_mm,head_circumference_mm\na_HC.png,0.5,94\nb_HC.png,0.5,90\n")
    labels, grid = Labels.of({"fetal head": 1}), Grid.from_spacing((100, 100), (0.5, 0.5))
    far = np.linalg.norm(np.indices(grid.shape).T - (50, 50), axis=-1).T
    image = Volume(np.zeros((1, 100, 100), np.uint8), grid)
    head, nothing = (LabelMap((far < size).astype(np.uint8), grid, labels) for size in (30, 0))
    seen = [recipes.Seen(Case("a_HC", image, head), head), recipes.Seen(Case("b_HC", image, head), nothing)]
    found = recipes._heads(tmp_path, seen)
    said, drawn = found["head circumference"], found["head circumference of the drawing"]
    assert (said["n"], said["undefined"], said["cases"]["b_HC"]) == (1, 1, [None, 90.0])
    assert said["bias"] == pytest.approx(94.2 - 94, abs=0.4)
    assert (drawn["n"], drawn["mean_absolute_difference"]) == (2, pytest.approx(2.2, abs=0.4))


def test_ejection_fractions_of_patients(module, tmp_path):
    recipes = module("recipes")
    labels = Labels.of({"left ventricle": 3})
    grid = Grid.from_spacing((10, 10, 10), (2.0, 2.0, 10.0))

    def heart(voxels):
        array = np.zeros(grid.shape, np.uint8)
        array.reshape(-1)[:voxels] = 3
        return LabelMap(array, grid, labels)

    def seen(patient, phase, drawn, said):
        image = Volume(np.zeros((1, *grid.shape), np.uint8), grid)
        return recipes.Seen(Case(f"{patient}{phase}", image, heart(drawn), patient, {"phase": phase}), heart(said))

    beats = [
        *(seen("p1", "end-diastole", 100, 100), seen("p1", "end-systole", 40, 50)),
        *(seen("p2", "end-diastole", 100, 90), seen("p2", "end-systole", 50, 0)),  # nothing was found
        seen("p3", "end-diastole", 100, 100),  # and no other end
    ]
    found = recipes._hearts(tmp_path, beats)["ejection fraction"]
    assert found["cases"] == {"p1": [50.0, 60.0], "p2": [None, 50.0]}
    assert (found["bias"], found["n"], found["undefined"], found["unit"]) == (-10.0, 1, 1, "%")


def test_the_second_reader_is_scored_as_well(shared_data, module):
    recipes = module("recipes")
    case = recipes.RECIPES["retina-vessels"].read(shared_data / "chasedb1").select(["Image_02L"])[0]
    found = recipes._second_reader(shared_data / "chasedb1", [recipes.Seen(case, case.reference)])
    assert 0.7 < found["Dice of the second reader"]["cases"]["Image_02L"] < 0.85


# --- tables -----------------------------------------------------------------------------------------------------------


def test_tables_are_filled_and_checked(module, tmp_path, monkeypatch, capsys):
    tables = module("tables")
    page = tmp_path / "polyp" / "README.md"
    page.parent.mkdir()
    page.write_text(f"before\n\n{tables.BEGIN}\n\nold\n\n{tables.END}\n\nafter\n")
    monkeypatch.setattr(tables, "HERE", tmp_path)
    assert tables.main(["--check"]) == 1
    assert tables.main([]) == 0
    assert "Not measured yet" in page.read_text()
    assert "old" not in page.read_text()
    told = {
        "training": "9 steps",
        "scores_on": "6 pictures",
        "scores": {"lesion": 0.7, "mean": 0.7},
        "intervals": {"lesion": [0.6, 0.8]},
        "subgroups": {"class": {"benign": {"cases": 3, "scores": {"mean": 0.75}, "intervals": {}}}},
        "metrics": {"lesion": {"dice": 0.7, "hd95": None}},
        "measures": {"Dice of the second reader": {"mean": 0.77, "cases": {}}},
    }
    page.with_name("scores.json").write_text(json.dumps(told))
    assert tables.main([]) == 0
    text = page.read_text()
    assert re.search(r"\| lesion \| 0.700 \| 0.600 to 0.800 \| – \|", text)
    assert "| structure | Dice | 95 % interval | HD95, mm |" in text
    assert "| benign | 3 | 0.750 | – |" in text
    assert "Dice of the second reader: 0.770." in text
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert tables.main(["--check"]) == 0
    with pytest.raises(FormatError, match="once each"):
        tables.filled("no marks", "x")
