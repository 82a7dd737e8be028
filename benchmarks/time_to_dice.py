"""How long does a Dice on unseen cases take, with Vesalius and with nnU-Net 2.8? Same cases, split and cores.

    python -m venv NN && NN/bin/pip install torch nnunetv2==2.8.1 && NN/bin/pip uninstall -y torchvision
    python benchmarks/time_to_dice.py ../shared/data --work WORK --nnunet-python NN/bin/python
    python benchmarks/time_to_dice.py ../shared/data --work WORK --report

nnU-Net gets an environment of its own: it pulls in torchvision through timm, and a torchvision built for CUDA fails
beside a PyTorch built for processors. nnU-Net does without it.

Each data set is split by patient once (against_nnunet/split.py). nnU-Net is planned by its default planner and trained
once for --nnunet-budget, on all teaching cases (its fold "all"), with its own recipe and a learning rate that falls to
zero over the budget (against_nnunet/runner.py says what differs from the stock trainer, all of it kind to nnU-Net). Its
clock holds planning, preprocessing and training. Vesalius is trained from scratch once for each of --budgets, as a user
would: `vesalius fit`, whose time from the start of the process to the finished bundle counts, and which keeps back
cases of its own for watching. Segmenting the held-out cases and scoring them is outside both clocks. nnU-Net averages
mirror images on all axes when it segments; Vesalius does as it planned.

Two clocks: wall time, and processor time divided by the cores, which says more where other work shares the machine.
nnU-Net's budget is on the latter unless --clock says otherwise; Vesalius's is wall time, being a promise to a person.
Both clocks run slower for a training that has to share caches and cores. What nnU-Net learns depends on the number of
iterations, not on how long they took: train it beside other work with --clock pace, and measure what an iteration takes
with --pace when the machine is quiet; the tables then count each iteration with that.

Everything is kept in WORK, one folder a run. The same command again goes on where it stopped: nnU-Net from its last
epoch, Vesalius with the run that was cut off. --report only reads, and writes SET.png beside the tables.

To compare at equal budgets on several sets:

    python benchmarks/time_to_dice.py ../shared/data --work WORK --nnunet-python NN/bin/python --clock wall
        --budgets 10m --nnunet-budget 10m --sets acdc_cine_mr isbi2012_em kvasir_seg ms_lesion_mr dsb2018_nuclei
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from against_nnunet.clock import run_timed
from against_nnunet.curves import draw, read_curves, tell_budgets, tell_times
from against_nnunet.split import Split, prepare

from vesalius.image import LabelMap
from vesalius.io import read_labels
from vesalius.io.atomic import make_folder, write_text
from vesalius.metrics import evaluate
from vesalius.plan import parse_time


@dataclass(frozen=True)
class Share:
    """What of a data set is held out: whole patients, at least so many cases; of a single case, blocks."""

    held_out: int
    blocks: tuple[int, ...] = ()


SETS: dict[str, Share] = {
    "msd_hippocampus": Share(40),
    "acdc_cine_mr": Share(4),
    "isbi2012_em": Share(6),
    "kvasir_seg": Share(12),
    "dsb2018_nuclei": Share(7),
    # One labelled patient: one half of the brain teaches, the other is held out, each in three blocks.
    "ms_lesion_mr": Share(3, blocks=(2, 3, 1)),
}


def train_nnunet(split: Split, args: argparse.Namespace) -> None:
    """Plan, preprocess and train; returns at once where that is done."""
    configuration = _configuration(split)
    environment = _nnunet_environment(split, args)
    prepared = split.folder / "nnunet-prepare.json"
    if not prepared.is_file():
        command = [str(args.nnunet_python.parent / "nnUNetv2_plan_and_preprocess"), "-d", "1", "-c", configuration]
        command += ["-np", str(args.cores), "-npfp", str(args.cores)]
        wall_s, processor_s = _run(command, environment, split.folder / "nnunet-prepare.log")
        write_text(prepared, json.dumps({"wall_s": wall_s, "processor_s": processor_s}))
    run = _nnunet_run(split, args)
    if (run / "done").is_file():
        return
    spent = json.loads(prepared.read_text())
    gone_s = spent["wall_s"] if args.clock == "wall" else spent["processor_s"] / args.cores
    left_s = args.nnunet_budget - gone_s
    if left_s <= 0:
        raise SystemExit(f"nnU-Net's planning and preprocessing of {split.name} took {gone_s:.0f} s: give it more")
    command = [*_runner(args), "train", str(run)]
    command += ["--dataset", split.dataset, "--configuration", configuration, "--cores", str(args.cores)]
    command += ["--budget-s", f"{left_s:.1f}", "--clock", args.clock, "--device", args.device]
    command += ["--iterations", str(args.iterations)] if args.iterations else []
    command += ["--default-schedule"] if args.default_schedule else []
    _run(command, environment, make_folder(run) / "train.log")


def pace_nnunet(split: Split, args: argparse.Namespace) -> None:
    """Measure what an iteration of nnU-Net takes now."""
    run = _nnunet_run(split, args)
    command = [*_runner(args), "pace", str(run), "--dataset", split.dataset, "--configuration", _configuration(split)]
    _run(
        [*command, "--cores", str(args.cores), "--device", args.device],
        _nnunet_environment(split, args),
        run / "pace.log",
    )


def score_nnunet(split: Split, args: argparse.Namespace) -> None:
    """Segment the held-out cases with some of the checkpoints, the last included, and score them."""
    run = _nnunet_run(split, args)
    points = json.loads((run / "points.json").read_text())
    # Early checkpoints differ most: evenly spaced on a logarithmic scale.
    places = np.unique(np.geomspace(len(points), 1, min(args.checkpoints, len(points))).round().astype(int))
    environment = _nnunet_environment(split, args)
    model = next((Path(environment["nnUNet_results"]) / split.dataset).glob("TimedTrainer__*"))
    for place in places:
        point = points[place - 1]
        scores = run / f"scores_{point['epoch']:05d}.json"
        if scores.is_file():
            continue
        found = make_folder(run / f"segmented_{point['epoch']:05d}")
        command = [*_runner(args), "predict", "--cores", str(args.cores)]
        command += ["--model", str(model), "--checkpoint", str(run / point["checkpoint"]), "--device", args.device]
        command += ["--images", str(split.images), "--output", str(found)]
        _run(command, environment, run / "predict.log")
        _score(split, found, scores)


def run_vesalius(split: Split, budget_s: float, args: argparse.Namespace) -> None:
    """Train within a budget by the command line, segment the held-out cases and score them."""
    run = make_folder(split.folder / f"vesalius-{budget_s:.0f}s{'-' * bool(args.tag)}{args.tag}")
    bundle, found = run / "bundle", run / "segmented"
    executable = [sys.executable, "-m", "vesalius.cli"]
    environment = dict(os.environ)
    if not (run / "run.json").is_file():
        shutil.rmtree(bundle, ignore_errors=True)  # a run that was cut off: its clock is lost, so it starts anew
        command = [*executable, "fit", str(split.manifest), "-o", str(bundle), "--budget", f"{budget_s:g}s"]
        command += ["--seed", str(args.seed), "--device", args.device, "--json"]
        command += [f"--set={setting}" for setting in args.vesalius_set]
        wall_s, processor_s = _run(command, environment, run / "fit.log")
        spent = {"budget_s": budget_s, "wall_s": wall_s, "processor_s": processor_s, "cores": args.cores}
        write_text(run / "run.json", json.dumps(spent | {"settings": args.vesalius_set}, indent=1))
    if not (run / "scores.json").is_file():
        shutil.rmtree(found, ignore_errors=True)
        command = [*executable, "segment", str(split.images), "--bundle", str(bundle), "-o", str(found)]
        command += ["--device", args.device]
        _run(command, environment, run / "segment.log")
        _score(split, found, run / "scores.json")


def _nnunet_run(split: Split, args: argparse.Namespace) -> Path:
    schedule = "-default" if args.default_schedule else ""
    return split.folder / f"nnunet-{args.nnunet_budget:.0f}s{schedule}"


def _configuration(split: Split) -> str:
    return "2d" if split.ndim == 2 else "3d_fullres"


def _runner(args: argparse.Namespace) -> list[str]:
    return [str(args.nnunet_python), "-m", "against_nnunet.runner"]


def _nnunet_environment(split: Split, args: argparse.Namespace) -> dict[str, str]:
    folders = {f"nnUNet_{part}": str(split.folder / f"nnUNet_{part}") for part in ("raw", "preprocessed", "results")}
    # Its threads wait as Vesalius's do (benchmarks/waiting_threads.py): spinning longer keeps workers waiting.
    threads = {"GOMP_SPINCOUNT": "1000", "OMP_NUM_THREADS": str(args.cores)}
    here = {"PYTHONPATH": str(Path(__file__).resolve().parent), "nnUNet_n_proc_DA": str(args.workers)}
    return {**os.environ, **folders, **threads, **here}


def _run(command: list[str], environment: Mapping[str, str], log: Path) -> tuple[float, float]:
    """Run to the end; gives wall and processor seconds."""
    print(f"  {' '.join(command)}", flush=True)
    with log.open("a") as file:
        code, wall_s, processor_s = run_timed(command, environment=environment, log=file)
    if code:
        raise SystemExit(f"it failed with exit code {code}; see {log}")
    return round(wall_s, 2), round(processor_s, 2)


def _score(split: Split, found: Path, scores: Path) -> None:
    """Dice of every held-out case and label, on the grid of the original."""
    cases: dict[str, Any] = {}
    for case in split.held_out:
        reference = split.reference(case)
        said = read_labels(found / f"{case}{split.ending}", split.labels)
        if not said.grid.is_close(reference.grid, tolerance_mm=0.1):
            raise SystemExit(f"{case}: the segmentation lies on another grid than the image")
        said = LabelMap(said.array, reference.grid, split.labels)
        cases[case] = evaluate(said, reference, case=case, metrics=("dice",)).to_dict()["values"]
    write_text(scores, json.dumps(cases, indent=1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of data sets")
    parser.add_argument("--work", type=Path, required=True, help="folder for everything that is made")
    parser.add_argument("--sets", nargs="+", default=["msd_hippocampus"], metavar="SET", help="(msd_hippocampus)")
    parser.add_argument("--side", choices=("both", "nnunet", "vesalius"), default="both", help="which to run (both)")
    parser.add_argument("--report", action="store_true", help="run nothing: tables and pictures of what is there")
    parser.add_argument("--held-out", type=int, metavar="CASES", help="at least so many, for sets without a rule here")
    parser.add_argument("--seed", type=int, default=0, help="of the split, and of Vesalius (0)")
    parser.add_argument("--cores", type=int, default=2, help="that each side may use (2)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda, for both; cuda wants --clock wall (cpu)")
    ours = parser.add_argument_group("Vesalius")
    ours.add_argument(
        "--budgets",
        nargs="+",
        type=parse_time,
        metavar="TIME",
        default=[60, 120, 300, 600, 1800],
        help="one run each (1m 2m 5m 10m 30m)",
    )
    ours.add_argument("--vesalius-set", action="append", default=[], metavar="NAME=VALUE", help="for `fit --set`")
    ours.add_argument("--tag", default="", help="names a variant, whose runs and curve are apart from the others'")
    peer = parser.add_argument_group("nnU-Net")
    peer.add_argument("--nnunet-python", type=Path, metavar="PATH", help="of the environment that holds nnU-Net")
    peer.add_argument("--nnunet-budget", type=parse_time, metavar="TIME", default=5400, help="of all cores (90m)")
    peer.add_argument(
        "--clock",
        choices=("processor", "wall", "pace"),
        default="processor",
        help="of its budget; pace: each iteration counts what it took when measured before the training (processor)",
    )
    peer.add_argument("--pace", action="store_true", help="train nothing; measure what an iteration takes, and report")
    peer.add_argument("--default-schedule", action="store_true", help="its own 1000 epochs, cut off by the budget")
    peer.add_argument("--iterations", type=int, help="between checkpoints (a twentieth of the budget's, at most 50)")
    peer.add_argument("--checkpoints", type=int, default=10, help="to score at most (10)")
    peer.add_argument("--workers", type=int, default=2, help="processes that augment (2)")
    args = parser.parse_args()
    if not args.report and (args.pace or args.side != "vesalius") and args.nnunet_python is None:
        parser.error("name the Python of nnU-Net's environment with --nnunet-python, or run --side vesalius")
    if args.nnunet_python is not None:
        args.nnunet_python = args.nnunet_python.absolute()
    for name in args.sets:
        if name not in SETS and args.held_out is None:
            parser.error(f"there is no rule for splitting {name}: give --held-out. Known: {', '.join(SETS)}")
    args.work = args.work.resolve()
    return args


def main() -> None:
    """Run what is asked for, then tell what is there."""
    args = _arguments()
    if not args.report:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.cores])
        for name in args.sets:
            share = SETS.get(name) or Share(args.held_out)
            split = prepare(
                args.data / name,
                make_folder(args.work / name),
                held_out=args.held_out or share.held_out,
                seed=args.seed,
                blocks=share.blocks,
            )
            print(f"{name}: {len(split.teaching)} cases teach, {len(split.held_out)} are held out", flush=True)
            if args.pace:
                pace_nnunet(split, args)
                continue
            if args.side != "nnunet":
                for budget_s in args.budgets:
                    run_vesalius(split, budget_s, args)
            if args.side != "vesalius":
                train_nnunet(split, args)
                score_nnunet(split, args)
    curves = {name: read_curves(args.work / name) for name in args.sets}
    for name, found in curves.items():
        tell_times(name, found)
        draw(name, found, args.work / f"{name}.png")
    tell_budgets(curves)


if __name__ == "__main__":
    main()
