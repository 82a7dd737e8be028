"""The rules of the house that no other tool holds: they are about the source as a whole."""

import argparse
import ast
import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from jaxtyping import TypeCheckError
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import vesalius
from vesalius.bundle import Card
from vesalius.cli import VERBS, module_of
from vesalius.plan import Loss, Optimisation, Plan
from vesalius.plan.preparation import Preparation

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "vesalius"
SOURCES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# Path from the root: why the file may have 400 to 600 lines.
LONG_FILES: dict[str, str] = {}
# Declared and never imported: pydicom finds its decoders by itself.
PLUGINS = {"pyjpegls", "pylibjpeg", "pylibjpeg-openjpeg", "python-gdcm"}
HEAVY = {"torch", "scipy", "matplotlib", "nibabel", "nilearn", "pandas", "pydantic", "pydicom", "rich", "tifffile"}


def place(path: Path, node: ast.AST | None = None) -> str:
    """Where something is, as editors understand it."""
    line = f":{node.lineno}" if node is not None and hasattr(node, "lineno") else ""
    return path.relative_to(ROOT).as_posix() + line


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


# --- who may import whom ----------------------------------------------------------------------------------------------


def test_the_contracts_are_kept():
    # In a process of its own: beside what OpenVINO leaves in this one, it closes the standard output.
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    found = subprocess.run([*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_contracts_speak_of_every_package():
    layers, _, torch, dicom = PROJECT["tool"]["importlinter"]["contracts"]
    order = [re.findall(r"\w+", line) for line in layers["layers"]]
    nets = next(level for level, names in enumerate(order) if "nets" in names)
    array_half = {"report"}.union(*order[nets + 1 :])
    there = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()} - {"__init__"}
    still_to_come = {name for line in layers["layers"] for name in re.findall(r"\((\w+)\)", line)}
    assert still_to_come & there == set(), "these have come: they lose their parentheses"
    assert set(torch["source_modules"]) == {f"vesalius.{name}" for name in array_half & there}
    assert set(dicom["source_modules"]) == {f"vesalius.{name}" for name in there - {"io", "privacy", "server"}}


@pytest.mark.parametrize(
    "command",
    [
        ["-c", "import vesalius"],
        ["-m", "vesalius.cli", "--help"],
        *(["-m", "vesalius.cli", v, "--help"] for v in VERBS),
    ],
    ids=" ".join,
)
def test_what_is_heavy_is_imported_late(command):
    # -X importtime names every module that is loaded. The time depends on the machine and is not asserted.
    told = subprocess.run([sys.executable, "-X", "importtime", *command], capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.stderr.splitlines()}
    assert "vesalius" in loaded
    assert loaded & HEAVY == set()


# --- what is installed ------------------------------------------------------------------------------------------------


def imported(paths: Iterable[Path]) -> dict[str, str]:
    """The packages that these files import, also inside functions: name of the package, and one place.

    One that is only looked for (``find_spec("nilearn")``) counts, too: its files are used.
    """
    found = {}
    for path in paths:
        for node in ast.walk(tree(path)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "find_spec":
                names = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            for name in names:
                found.setdefault(name.partition(".")[0], place(path, node))
    ours = {"vesalius"} | {path.stem for path in TESTS if path.parent.name == "tests"}
    ours |= {name for path in BENCHMARKS for name in (path.stem, path.parent.name)}  # benchmarks use one another
    return {name: at for name, at in found.items() if name not in ours | sys.stdlib_module_names}


@cache
def installed() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def distributions(packages: Iterable[str]) -> set[str]:
    """The distributions that these packages come from."""
    return {canonicalize_name(name) for package in packages for name in installed().get(package, [package])}


def requirements(*extras: str) -> set[str]:
    """What pyproject.toml declares: the core, and these extras with those that they name."""
    project = PROJECT["project"]
    lines = [*project["dependencies"], *(line for e in extras for line in project["optional-dependencies"][e])]
    parsed = [Requirement(line) for line in lines]
    within = [extra for r in parsed if r.name == "vesalius" for extra in r.extras]
    direct = {canonicalize_name(r.name) for r in parsed if r.name != "vesalius"}
    return direct | requirements(*within) if within else direct


def closure(names: Iterable[str]) -> set[str]:
    """These distributions and all that they need on this machine."""
    found: set[tuple[str, tuple[str, ...]]] = set()
    waiting = [Requirement(name) for name in names]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, tuple(sorted(requirement.extras))) in found:
            continue
        for line in metadata.requires(name) or []:
            needed = Requirement(line)
            wanted = any(
                needed.marker is None or needed.marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras)
            )
            if wanted:
                waiting.append(needed)
        found.add((name, tuple(sorted(requirement.extras))))
    return {name for name, _ in found}


@pytest.mark.parametrize(
    ("paths", "extras"),
    [
        (
            SOURCES,
            (
                *("demo", "monai", "tune", "tracking", "cluster", "export", "stream", "classical", "litert"),
                *("executorch", "mesh", "pictures", "privacy", "server"),
            ),
        ),
        (BENCHMARKS, ("benchmarks", "nnunet")),
        (TESTS, ("dev", "nnunet")),
    ],
    ids=["src", "benchmarks", "tests"],
)
def test_what_is_imported_is_declared(paths, extras):
    packages = imported(paths)
    packages.pop("triton", None)  # comes with a torch for CUDA, and is asked after, not imported
    missing = {p: at for p, at in packages.items() if not distributions([p]) & requirements(*extras)}
    assert missing == {}


def test_what_is_declared_is_imported():
    assert requirements("demo") - PLUGINS - distributions(imported(SOURCES)) == set()


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    parsed = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"==[\w.]+", str(r.specifier)) for r in parsed)
    return {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in parsed}


def test_the_constraints_pin_what_is_used_and_nothing_else():
    # Where pip finds a torch for CUDA, that brings its own pinned libraries along.
    used = {n for n in closure(requirements("dev")) if not n.startswith(("nvidia-", "cuda-", "triton"))}
    assert used == set(pins())


def test_torch_comes_once_and_alone():
    assert pins()["torch"] == "2.13.0"
    assert metadata.version("torch").partition("+")[0] == "2.13.0"
    assert closure(requirements("dev")) & {"torchvision", "torchaudio", "pytorch-lightning"} == set()


def test_what_users_install_is_free_of_the_gpl():
    for name in closure(requirements("demo")):
        about = metadata.metadata(name)
        said = [about.get("License-Expression") or "", *(about.get_all("Classifier") or [])]
        assert not [line for line in said if re.search(r"\b[AL]?GPL|General Public License", line)], name


# --- the source -------------------------------------------------------------------------------------------------------


def test_files_are_short():
    lengths = {place(p): len(p.read_text(encoding="utf-8").splitlines()) for p in [*SOURCES, *TESTS, *BENCHMARKS]}
    assert {name: n for name, n in lengths.items() if n > (600 if name in LONG_FILES else 400)} == {}
    assert {name for name in LONG_FILES if lengths.get(name, 0) <= 400} == set(), "these need no reason any more"


def test_each_concept_has_a_home():
    nowhere = {"utils", "util", "common", "helpers", "core", "base", "constants", "misc", "tools"}
    assert [place(p) for p in SOURCES if {p.stem, p.parent.name} & nowhere] == []


def test_names_say_what_things_are():
    def bad(node: ast.AST) -> bool:
        if isinstance(node, ast.ClassDef):
            return bool(re.search(r"(Manager|Handler)$|^Base[A-Z]", node.name))
        called_by_others = {"get_next"}  # ONNX Runtime's CalibrationDataReader
        name = node.name.lstrip("_") if isinstance(node, ast.FunctionDef) else ""
        return name.startswith(("get_", "process_")) and name not in called_by_others

    assert [place(p, node) for p in SOURCES for node in ast.walk(tree(p)) if bad(node)] == []


def test_only_the_executable_prints():
    def prints(node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"

    library = [p for p in SOURCES if "cli" not in p.relative_to(PACKAGE).parts]
    assert [place(p, node) for p in library for node in ast.walk(tree(p)) if prints(node)] == []


def test_nothing_names_a_machine():
    files = [p for f in ("src", "tests", "docs", "benchmarks", ".ci") for p in (ROOT / f).rglob("*") if p.is_file()]
    files += [p for p in ROOT.iterdir() if p.is_file() and not p.name.startswith(".coverage")]
    text = {".py", ".md", ".toml", ".txt", ".yaml", ".json", ".html", ".csv", ""}
    place_of_someone = re.compile(r"(?<![\w.])/(?:home|root|work|Users|opt)/\w")
    assert [place(p) for p in files if p.suffix in text and place_of_someone.search(p.read_text("utf-8"))] == []


# --- docstrings -------------------------------------------------------------------------------------------------------


def packages() -> list[str]:
    inits = [path.parent.relative_to(PACKAGE.parent) for path in SOURCES if path.name == "__init__.py"]
    return [".".join(folder.parts) for folder in inits]


@pytest.mark.parametrize("package", packages())
def test_docstrings_of_what_a_package_offers_list_all_arguments(package):
    # Functions that only their own package uses need a docstring (ruff sees to that), not always a list.
    module = importlib.import_module(package)
    lacking = {}
    for name in getattr(module, "__all__", ()):
        function = getattr(module, name)
        if inspect.isfunction(function):
            text = inspect.getdoc(function) or ""
            if same := re.search(r"`(\w+)`.*The arguments[^.]* are the same", text):
                text = inspect.getdoc(getattr(module, same[1])) or ""
            listed = text.partition("Args:\n")[2].partition("\n\n")[0]
            missing = [
                parameter
                for parameter in inspect.signature(function).parameters
                if not re.search(rf"^ +\*{{0,2}}{parameter}(, \w+)*( \(.*\))?:", listed, re.MULTILINE)
            ]
            lacking |= {name: missing} if missing else {}
    assert lacking == {}


def test_shapes_in_annotations_are_checked_here_and_not_by_users():
    call = "import torch; from vesalius.augment.intensity import brighten; brighten(torch.ones(2, 3), torch.ones(1))"
    with pytest.raises(TypeCheckError):
        exec(call)
    subprocess.run([sys.executable, "-c", call], check=True)  # torch broadcasts


# --- the public face --------------------------------------------------------------------------------------------------


def test_every_public_name_is_there_and_lazy():
    for name in vesalius.__all__:
        thing = getattr(vesalius, name)
        assert thing is getattr(importlib.import_module(vesalius._HOMES[name]), name)
        assert thing.__doc__
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        vesalius.colour  # noqa: B018
    assert set(vesalius.__all__) <= set(dir(vesalius))


def test_the_public_names_are_the_same_for_type_checkers():
    checked = next(node for node in tree(PACKAGE / "__init__.py").body if isinstance(node, ast.If))
    seen = {a.name: node.module for node in checked.body if isinstance(node, ast.ImportFrom) for a in node.names}
    assert seen == vesalius._HOMES
    assert sorted(seen) == sorted(vesalius.__all__)


def test_the_reference_lists_the_public_names():
    page = (ROOT / "docs" / "reference" / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)", page, re.MULTILINE)
    assert listed == sorted(vesalius.__all__)


def test_the_reference_lists_the_verbs():
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `([a-z]+(?:-[a-z]+)*)` \| (.+) \|$", page, re.MULTILINE)) == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_the_reference_lists_the_arguments_of_a_verb(verb):
    parser = argparse.ArgumentParser(add_help=False)
    importlib.import_module(module_of(verb)).add_arguments(parser)
    takes = {name for action in parser._actions for name in action.option_strings or [action.metavar]}
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    section = page.partition(f"\n## {verb}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \| ", section, re.MULTILINE)
    listed = re.findall(r"`(--[\w-]+|[A-Z]+)", " ".join(cells))
    assert sorted(listed) == sorted(name for name in takes if name != "-o")


def test_the_reference_lists_the_fields_of_the_plan():
    page = (ROOT / "docs" / "reference" / "plan.md").read_text(encoding="utf-8")
    first_cells = re.findall(r"^\| (`\w.*?) \| ", page, re.MULTILINE)
    listed = [name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)]
    assert listed == [field.name for of in (Plan, Preparation, Loss, Optimisation) for field in dataclasses.fields(of)]


def test_the_reference_lists_the_parts_of_a_card():
    page = (ROOT / "docs" / "reference" / "bundle.md").read_text(encoding="utf-8")
    card = page.partition("| `card.` |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \| ", card, re.MULTILINE) == [field.name for field in dataclasses.fields(Card)]


def test_every_verb_has_its_file_and_every_file_its_verb():
    def functions(path: Path) -> set[str]:
        return {node.name for node in tree(path).body if isinstance(node, ast.FunctionDef)}

    verbs = {
        p.stem.removesuffix("_").replace("_", "-")
        for p in (PACKAGE / "cli").glob("*.py")
        if {"add_arguments", "run"} <= functions(p)
    }
    assert verbs == set(VERBS)
    for verb in VERBS:
        assert importlib.import_module(module_of(verb)).HELP
