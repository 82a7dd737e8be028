"""How long does it take to segment an image on a processor, with Vesalius, nnU-Net 2.8 and MONAI? Same weights.

    python -m venv NN && NN/bin/pip install torch nnunetv2==2.8.1 monai && NN/bin/pip uninstall -y torchvision
    python benchmarks/predict.py MODEL IMAGES --work WORK --nnunet-python NN/bin/python --references LABELS
    python benchmarks/predict.py MODEL IMAGES --work WORK --nnunet-python NN/bin/python --folder
    python benchmarks/predict.py --draw-model WORK/drawn --nnunet-python NN/bin/python

MODEL is a folder that nnU-Net trained (plans.json, dataset.json, fold_…), IMAGES a folder of images named as it wants
them (CASE_0000.nii.gz). `vesalius import nnunet` turns MODEL into a bundle, so that all compute the same network, in
the same windows (nnU-Net's patch, overlap of a half) and the same mirror images. nnU-Net goes in an environment of
its own, which holds MONAI as well; see time_to_dice.py for why.

Each side stays loaded in a process of its own, and they take turns: every image is segmented by each of them, in an
order that changes from image to image, after a few images that do not count. An image counts from its file to
the file of its labels. Two clocks: wall time, and processor time of all threads, which says more where other work
shares the machine. "Network" is the wall time within the network's forward passes, and "around it" the rest.

Agreement is the share of voxels that have the label that nnU-Net's predictor gives them, "of the organ" among those
that are foreground for either side. Dice is the mean over cases and labels, against LABELS.

--folder starts each side's own command for the whole folder instead, loading included, as a user would:
`nnUNetv2_predict_from_modelfolder` with its worker processes, and `vesalius segment`.

--draw-model writes a model of nnU-Net's usual size (windows of 128³, 32 to 320 features) with drawn weights and an
image for it: for the clocks, not for agreement, since labels of drawn weights are near-ties.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from against_nnunet.clock import run_timed
from against_nnunet.turns import Player

from vesalius.image import Labels
from vesalius.io import read_labels
from vesalius.io.atomic import make_folder, write_text
from vesalius.io.layouts.files import group_channels, stem, suffix
from vesalius.metrics import evaluate

HERE = Path(__file__).resolve().parent
PEER = "nnU-Net"


@dataclass(frozen=True)
class Way:
    """A way to segment an image.

    Args:
        name: In the tables.
        ours: Whether Vesalius does it.
        request: What its process is asked for, beside the files.
    """

    name: str
    ours: bool
    request: Mapping[str, Any] = field(default_factory=dict)


def ways(backends: Sequence[str], *, peers: Sequence[str], exported: Path | None) -> list[Way]:
    """nnU-Net as it is by default first: the others are compared with it."""
    found = [Way(PEER, False, {"way": "nnunet", "mirror": True})]
    if "monai" in peers:
        found.append(Way("MONAI", False, {"way": "monai", "mirror": True}))
    found += [Way(f"Vesalius, {name}", True, {"settings": {"backend": name, "mirror": True}}) for name in backends]
    if "plain" in peers:
        found.append(Way("nnU-Net, no mirroring", False, {"way": "nnunet", "mirror": False}))
    opposite = {"backend": backends[0], "mirror": "opposite"}
    found.append(Way("Vesalius, two mirror images", True, {"settings": opposite}))
    best = {"backend": backends[0], "mirror": False}
    found.append(Way("Vesalius, no mirroring", True, {"settings": best}))
    found.append(Way("Vesalius, no mirroring, overlap 1/4", True, {"settings": {**best, "overlap": 0.25}}))
    if exported is not None:
        graph = {"backend": str(exported.resolve())}
        found.append(
            Way("Vesalius, exported graph, two mirror images", True, {"settings": graph | {"mirror": "opposite"}})
        )
        found.append(Way("Vesalius, exported graph, no mirroring", True, {"settings": graph | {"mirror": False}}))
    return found


def take_turns(args: argparse.Namespace, cases: Mapping[str, Sequence[Path]], chosen: Sequence[Way]) -> None:
    """Every case by every way; writes ``times.json``, ``{way: {case: times}}``, after each."""
    bundle = import_model(args)
    environment = environment_of(args)
    told: dict[str, dict[str, Any]] = {way.name: {} for way in chosen}
    with (args.work / "turns.log").open("a") as log:
        peers = [str(args.nnunet_python), "-m", "against_nnunet.peers", str(args.model), "--fold", args.fold]
        ours = [sys.executable, "-m", "against_nnunet.ours", str(bundle)]
        players = {
            False: Player([*peers, "--cores", str(args.cores)], environment=environment, log=log),
            True: Player([*ours, "--cores", str(args.cores)], environment=environment, log=log),
        }
        for case, files in islice(cases.items(), args.warm_up):
            for way in chosen:
                ask(players[way.ours], way, case, files, args.work)
        for number, (case, files) in enumerate(cases.items()):
            turn = number % len(chosen)
            for way in (*chosen[turn:], *chosen[:turn]):
                told[way.name][case] = ask(players[way.ours], way, case, files, args.work)
            print(f"  {case}: " + ", ".join(f"{way.name} {told[way.name][case]['wall_s']:.2f} s" for way in chosen))
            write_text(args.work / "times.json", json.dumps(told, indent=1))
        for player in players.values():
            player.end()


def ask(player: Player, way: Way, case: str, files: Sequence[Path], work: Path) -> dict[str, Any]:
    """Have an image segmented."""
    folder = make_folder(work / "found" / way.name)
    # nnU-Net adds the suffix itself.
    output = folder / (f"{case}{suffix(files[0])}" if way.ours else case)
    return player.ask(images=[str(file) for file in files], output=str(output), **way.request)


def tell(args: argparse.Namespace, told: Mapping[str, Mapping[str, Any]], ending: str) -> None:
    """The table: medians, ratios to nnU-Net of the same image, agreement and Dice."""
    labels = labels_of(args.model)
    columns = ("", "wall, s", "times faster", "processor, s", "times less", "network", "around it")
    columns += ("agreement", "of the organ", "Dice")
    print("\n| " + " | ".join(columns) + " |\n| --- |" + " ---: |" * (len(columns) - 1))
    base = told[PEER]
    for name, cases in told.items():
        wall = statistics.median(one["wall_s"] for one in cases.values())
        cpu = statistics.median(one["processor_s"] for one in cases.values())
        faster = statistics.median(base[case]["wall_s"] / one["wall_s"] for case, one in cases.items())
        less = statistics.median(base[case]["processor_s"] / one["processor_s"] for case, one in cases.items())
        share = statistics.median(one["network_s"] / one["wall_s"] for one in cases.values())
        same, of_organ = agreement(args.work, name, list(cases), ending, labels)
        dice = mean_dice(args, name, list(cases), ending, labels)
        used = {one["backend"] for one in cases.values() if "backend" in one}
        shown = name.replace("auto", f"auto ({', '.join(sorted(used))})")
        print(
            f"| {shown} | {wall:.2f} | {faster:.1f} | {cpu:.2f} | {less:.1f} | {share:.0%} | {1 - share:.0%} "
            f"| {same:.3%} | {of_organ:.2%} | {dice} |"
        )


def agreement(work: Path, name: str, cases: Sequence[str], ending: str, labels: Labels) -> tuple[float, float]:
    """Share of voxels with nnU-Net's label, of all and of those that are foreground for one side."""
    same = voxels = inside = foreground = 0
    for case in cases:
        theirs = read_labels(work / "found" / PEER / f"{case}{ending}", labels).array
        array = read_labels(work / "found" / name / f"{case}{ending}", labels).array
        either = (theirs != 0) | (array != 0)
        same += int((theirs == array).sum())
        inside += int((theirs == array)[either].sum())
        voxels += array.size
        foreground += int(either.sum())
    return same / voxels, inside / max(1, foreground)


def mean_dice(args: argparse.Namespace, name: str, cases: Sequence[str], ending: str, labels: Labels) -> str:
    """Mean over cases and labels."""
    if args.references is None:
        return "–"
    scores = []
    for case in cases:
        found = read_labels(args.work / "found" / name / f"{case}{ending}", labels)
        reference = read_labels(args.references / f"{case}{ending}", labels)
        values = evaluate(found, reference, case=case, metrics=("dice",)).to_dict()["values"]
        scores += [value["dice"] for value in values.values()]
    return f"{np.mean(scores):.4f}"


def time_folder(args: argparse.Namespace, cases: Mapping[str, Sequence[Path]]) -> None:
    """Each side's own command for the whole folder, in turn; the table."""
    bundle = import_model(args)
    images, out = args.images, args.work / "folder"
    theirs = [str(args.nnunet_python.parent / "nnUNetv2_predict_from_modelfolder"), "-m", str(args.model)]
    theirs += ["-i", str(images), "-f", args.fold, "-device", "cpu"]
    ours = [sys.executable, "-m", "vesalius.cli", "segment", str(images), "--bundle", str(bundle), "--device", "cpu"]
    commands = {
        PEER: theirs,
        "Vesalius": [*ours, "--mirror"],
        "Vesalius, no mirroring": [*ours, "--no-mirror"],
    }
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for turn in range(args.rounds):
        for name, command in commands.items():
            shutil.rmtree(out / name, ignore_errors=True)
            with (args.work / "folder.log").open("a") as log:
                code, *times = run_timed(
                    [*command, "-o", str(make_folder(out / name))], environment=environment_of(args), log=log
                )
            if code:
                raise SystemExit(f"{name} failed with exit code {code}; see {log.name}")
            spent[name].append((times[0], times[1]))
            print(f"  round {turn + 1}: {name} {times[0]:.1f} s", flush=True)
    wall, cpu = ({name: [one[clock] for one in runs] for name, runs in spent.items()} for clock in (0, 1))
    print(f"\n| {len(cases)} images, from start to end | wall, s | times faster | processor, s | times less |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in commands:
        faster = statistics.median(a / b for a, b in zip(wall[PEER], wall[name], strict=True))
        less = statistics.median(a / b for a, b in zip(cpu[PEER], cpu[name], strict=True))
        middle = statistics.median(wall[name]), statistics.median(cpu[name])
        print(f"| {name} | {middle[0]:.1f} | {faster:.1f} | {middle[1]:.1f} | {less:.1f} |")


def import_model(args: argparse.Namespace) -> Path:
    """The bundle of nnU-Net's folder."""
    bundle: Path = args.work / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    with (args.work / "import.log").open("a") as log:
        command = [sys.executable, "-m", "vesalius.cli", "import", "nnunet", str(args.model), "-o", str(bundle)]
        code, *_ = run_timed([*command, "--folds", args.fold], environment=os.environ, log=log)
    if code:
        raise SystemExit(f"the import failed with exit code {code}; see {log.name}")
    return bundle


def environment_of(args: argparse.Namespace) -> dict[str, str]:
    """Of each side's processes: as many threads, and those that wait sleep, so that they do not count as work."""
    threads = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(args.cores)}
    places = os.pathsep.join(part for part in (str(HERE), os.environ.get("PYTHONPATH")) if part)
    folders = {f"nnUNet_{part}": str(args.work) for part in ("raw", "preprocessed", "results")}
    return {**os.environ, **threads, **folders, "PYTHONPATH": places}


def labels_of(model: Path) -> Labels:
    """What nnU-Net's values mean."""
    declared = json.loads((model / "dataset.json").read_text())["labels"]
    return Labels.of({name: value for name, value in declared.items() if value != 0})


def cases_of(args: argparse.Namespace) -> tuple[dict[str, list[Path]], str]:
    """The files of each case by nnU-Net's names, and their suffix."""
    ending = json.loads((args.model / "dataset.json").read_text())["file_ending"]
    files = {stem(path): path for path in sorted(args.images.iterdir()) if suffix(path) == ending}
    groups = group_channels(list(files))
    if groups is None:
        raise SystemExit(f"{args.images}: name the images as nnU-Net wants them, CASE_0000{ending}")
    found = {case: [files[name] for name in names] for case, names in groups.items()}
    return dict(list(found.items())[: args.cases]), ending


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", help="folder that nnU-Net trained")
    parser.add_argument("images", type=Path, nargs="?", help="folder of images, named CASE_0000 …")
    parser.add_argument("--work", type=Path, help="folder for everything that is made")
    parser.add_argument("--nnunet-python", type=Path, required=True, help="of the environment that holds nnU-Net")
    parser.add_argument("--references", type=Path, help="folder of label maps, named CASE")
    parser.add_argument("--fold", default="all", help="of the model (all)")
    parser.add_argument("--cases", type=int, help="the first so many (all)")
    parser.add_argument("--warm-up", type=int, default=3, help="images before those that count (3)")
    parser.add_argument("--cores", type=int, default=2, help="that each side may use (2)")
    parser.add_argument("--backends", nargs="+", default=["auto", "torch-float32"], help="of Vesalius, the best first")
    parser.add_argument(
        "--peers", nargs="*", default=["monai"], choices=("monai", "plain"), help="beside nnU-Net (monai)"
    )
    parser.add_argument(
        "--exported",
        type=Path,
        help="folder of `vesalius export WORK/bundle --to openvino --quantise int8 …`, to try as well",
    )
    parser.add_argument("--folder", action="store_true", help="time each side's command for the whole folder")
    parser.add_argument("--rounds", type=int, default=3, help="of --folder (3)")
    parser.add_argument("--draw-model", type=Path, metavar="FOLDER", help="write a model with drawn weights, and end")
    parser.add_argument("--report", action="store_true", help="run nothing: the table of what is there")
    args = parser.parse_args()
    args.nnunet_python = args.nnunet_python.absolute()
    if args.draw_model is None and None in (args.model, args.images, args.work):
        parser.error("name MODEL, IMAGES and --work")
    return args


def main() -> None:
    """Draw a model, time a folder, or take turns."""
    args = arguments()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.cores])
    if args.draw_model is not None:
        environment = {**os.environ, "PYTHONPATH": str(HERE)}
        command = [str(args.nnunet_python), "-m", "against_nnunet.drawn", str(args.draw_model)]
        code, *_ = run_timed(command, environment=environment, log=sys.stderr)
        raise SystemExit(code)
    args.work = make_folder(args.work.resolve())
    cases, ending = cases_of(args)
    if args.folder:
        time_folder(args, cases)
        return
    if not args.report:
        take_turns(args, cases, ways(args.backends, peers=args.peers, exported=args.exported))
    tell(args, json.loads((args.work / "times.json").read_text()), ending)


if __name__ == "__main__":
    main()
