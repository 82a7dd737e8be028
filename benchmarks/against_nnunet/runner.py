"""Train nnU-Net with a clock beside it, and segment with its checkpoints. For nnU-Net's Python; see time_to_dice.py.

    PYTHON -m against_nnunet.runner train RUN --dataset Dataset001_… --configuration 2d --budget-s 5400 --cores 2
    PYTHON -m against_nnunet.runner pace RUN --dataset Dataset001_… --configuration 2d --cores 2
    PYTHON -m against_nnunet.runner predict --model … --checkpoint … --images FOLDER --output FOLDER --cores 2

The recipe is nnU-Net's (planner, patch, batch, augmentation, loss, optimiser, single precision on a processor). What
this file changes is bookkeeping, all of it in nnU-Net's favour or neutral:

- an "epoch" is 50 iterations or fewer instead of 250, so that the curve has more points;
- the polynomial schedule of the learning rate ends with the budget instead of after 1000 epochs of 250, so that a short
  run ends with a low rate (``--default-schedule`` keeps nnU-Net's own). How many epochs the budget holds is measured
  before, outside the clock, and corrected after each epoch (not so with ``--clock pace``, where an iteration counts
  what was measured before);
- there are no validation iterations, and writing checkpoints is not counted.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from against_nnunet.clock import ProcessClock

_STOCK_ITERATIONS = 1000 * 250
_WARM_UP, _TIMED = 2, 6  # iterations that tell how long one takes
_LEAST_EPOCHS, _MOST_ITERATIONS = 20, 50  # of a budget, of an epoch
_LATEST = 3  # epochs whose pace tells how many are still to come


class TimedTrainer(nnUNetTrainer):
    """nnU-Net's trainer, whose loop stamps each epoch with the time spent and skips validation."""

    run: Path
    clock: ProcessClock
    settings: dict[str, Any]

    def run_training(self) -> None:
        """As nnU-Net's, without validation; stops when the epochs or the budget are used up."""
        self.on_train_start()
        points = _points(self.run)
        while self.current_epoch < self.num_epochs:
            self.on_train_epoch_start()
            losses = [self.train_step(next(self.dataloader_train)) for _ in range(self.num_iterations_per_epoch)]
            self.on_train_epoch_end(losses)
            stamp = self.clock.read()
            epoch = self.current_epoch + 1
            weights = f"epoch_{epoch:05d}.pth"
            points.append(
                {
                    "epoch": epoch,
                    "iterations": epoch * self.num_iterations_per_epoch,
                    "wall_s": round(stamp[0], 2),
                    "processor_s": round(stamp[1], 2),
                    "loss": float(np.mean([one["loss"] for one in losses])),
                    "checkpoint": weights,
                }
            )
            # The order makes an interruption harmless: points after the last full checkpoint are dropped.
            _save(self._for_predicting(), self.run / weights)
            _write(self.run / "points.json", points)
            self.save_checkpoint(str(self.run / "latest.new"))
            (self.run / "latest.new").replace(self.run / "latest.pth")
            self.clock.forget_since(stamp)
            print(json.dumps(points[-1]), flush=True)
            self.current_epoch += 1
            self.plan_epochs(points)
        self._stop_workers()
        (self.run / "done").touch()

    def plan_epochs(self, points: list[dict[str, Any]]) -> None:
        """How many epochs there will be in all: what the rest of the budget holds, and where the schedule ends."""
        settings = self.settings
        spent, cores = ("wall_s", 1) if settings["clock"] == "wall" else ("processor_s", settings["cores"])
        pace = settings[f"{spent}_per_iteration"] * self.num_iterations_per_epoch
        done = points[-1][spent] if points else 0.0
        latest = points[-_LATEST - 1 :]
        if settings["clock"] == "pace":
            done = pace * len(points)
        elif len(latest) > 1:
            pace = (latest[-1][spent] - latest[0][spent]) / (len(latest) - 1)
        self.num_epochs = max(1, len(points) + round((settings["budget_s"] * cores - done) / pace))
        schedule = _STOCK_ITERATIONS // self.num_iterations_per_epoch if settings["default_schedule"] else None
        self.lr_scheduler.max_steps = schedule or self.num_epochs

    def seconds_an_iteration(self, timed: int = _TIMED) -> tuple[float, float]:
        """Wall and processor seconds of an iteration; it moves the weights, so use a trainer of its own."""
        self.on_train_start()
        self.network.train()
        clock = ProcessClock()
        for count in range(_WARM_UP + timed):
            if count == _WARM_UP:
                before = clock.read()
            self.train_step(next(self.dataloader_train))
        wall_s, processor_s = (after - start for after, start in zip(clock.read(), before, strict=True))
        self._stop_workers()
        return wall_s / timed, processor_s / timed

    def _for_predicting(self) -> dict[str, Any]:
        """What nnU-Net's predictor reads of a checkpoint."""
        return {
            "network_weights": getattr(self.network, "_orig_mod", self.network).state_dict(),  # compiled or not
            "trainer_name": nnUNetTrainer.__name__,
            "init_args": self.my_init_kwargs,
            "inference_allowed_mirroring_axes": self.inference_allowed_mirroring_axes,
        }

    def _stop_workers(self) -> None:
        for loader in (self.dataloader_train, self.dataloader_val):
            if hasattr(loader, "_finish"):
                loader._finish()


def train(args: argparse.Namespace) -> None:
    """Train to the end of the budget; an interrupted run goes on from its last epoch."""
    torch.set_num_threads(args.cores)
    run: Path = args.run
    run.mkdir(parents=True, exist_ok=True)
    clock = ProcessClock()
    state = run / "run.json"
    if not state.is_file():
        started = clock.read()
        wall_s, processor_s = _trainer(args).seconds_an_iteration()
        clock.forget_since(started)
        held = args.budget_s / (wall_s if args.clock == "wall" else processor_s / args.cores)
        settings = {
            "budget_s": args.budget_s,
            "clock": args.clock,
            "cores": args.cores,
            "device": args.device,
            "configuration": args.configuration,
            "iterations_per_epoch": args.iterations or max(1, min(_MOST_ITERATIONS, int(held / _LEAST_EPOCHS))),
            "default_schedule": args.default_schedule,
            "wall_s_per_iteration": round(wall_s, 3),
            "processor_s_per_iteration": round(processor_s, 3),
        }
        _write(state, settings)
    settings = json.loads(state.read_text())
    print(json.dumps(settings), flush=True)

    trainer = _trainer(args)
    trainer.run, trainer.clock, trainer.settings = run, clock, settings
    trainer.num_iterations_per_epoch = settings["iterations_per_epoch"]
    trainer.initialize()
    points: list[dict[str, Any]] = []
    if (run / "latest.pth").is_file():
        trainer.load_checkpoint(str(run / "latest.pth"))
        points = [point for point in _points(run) if point["epoch"] <= trainer.current_epoch]
        trainer.clock = ProcessClock(wall_s=points[-1]["wall_s"], processor_s=points[-1]["processor_s"])
        print(f"resumed after epoch {trainer.current_epoch}", flush=True)
    _write(run / "points.json", points)
    trainer.plan_epochs(points)
    trainer.run_training()


def pace(args: argparse.Namespace) -> None:
    """Write down what an iteration takes."""
    torch.set_num_threads(args.cores)
    args.run.mkdir(parents=True, exist_ok=True)
    wall_s, processor_s = _trainer(args).seconds_an_iteration(timed=args.iterations)
    measured = {"wall_s": round(wall_s, 4), "processor_s": round(processor_s, 4), "iterations": args.iterations}
    _write(args.run / "pace.json", measured)
    print(json.dumps(measured), flush=True)


def predict(args: argparse.Namespace) -> None:
    """Segment a folder with one checkpoint by nnU-Net's own predictor, mirroring on."""
    torch.set_num_threads(args.cores)
    predictor = nnUNetPredictor(
        use_mirroring=True, perform_everything_on_device=args.device != "cpu", device=torch.device(args.device)
    )
    # An absolute path in place of a checkpoint's name is taken as it is.
    predictor.initialize_from_trained_model_folder(
        str(args.model), use_folds=("all",), checkpoint_name=str(args.checkpoint.resolve())
    )
    predictor.predict_from_files(
        str(args.images),
        str(args.output),
        save_probabilities=False,
        overwrite=True,
        num_processes_preprocessing=1,
        num_processes_segmentation_export=1,
    )


def _trainer(args: argparse.Namespace) -> TimedTrainer:
    folder = Path(nnUNet_preprocessed) / args.dataset
    resumed = (args.run / "latest.pth").is_file()
    return TimedTrainer(
        plans=json.loads((folder / "nnUNetPlans.json").read_text()) | {"continue_training": resumed},
        configuration=args.configuration,
        fold="all",
        dataset_json=json.loads((folder / "dataset.json").read_text()),
        device=torch.device(args.device),
    )


def _points(run: Path) -> list[dict[str, Any]]:
    path = run / "points.json"
    return list(json.loads(path.read_text())) if path.is_file() else []


def _write(path: Path, content: object) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(content, indent=1))
    new.replace(path)


def _save(content: object, path: Path) -> None:
    new = path.with_suffix(".new")
    torch.save(content, new)
    new.replace(path)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    training = verbs.add_parser("train")
    training.set_defaults(verb=train)
    timing = verbs.add_parser("pace")
    timing.set_defaults(verb=pace)
    timing.add_argument("--iterations", type=int, default=20, help="to measure (20)")
    for verb in (training, timing):
        verb.add_argument("run", type=Path, help="folder of checkpoints, points.json and pace.json")
        verb.add_argument("--dataset", required=True, help="folder name below nnUNet_preprocessed")
        verb.add_argument("--configuration", required=True, help="2d or 3d_fullres")
    training.add_argument("--budget-s", type=float, required=True, help="seconds of all cores")
    training.add_argument("--clock", choices=("processor", "wall", "pace"), default="processor")
    training.add_argument("--iterations", type=int, help="of an epoch (a twentieth of the budget's, at most 50)")
    training.add_argument("--default-schedule", action="store_true", help="1000 epochs of 250, cut off by the budget")
    predicting = verbs.add_parser("predict")
    predicting.set_defaults(verb=predict)
    predicting.add_argument("--model", type=Path, required=True, help="nnU-Net's result folder, with plans.json")
    predicting.add_argument("--checkpoint", type=Path, required=True)
    predicting.add_argument("--images", type=Path, required=True)
    predicting.add_argument("--output", type=Path, required=True)
    for verb in (training, timing, predicting):
        verb.add_argument("--cores", type=int, required=True)
        verb.add_argument("--device", default="cpu")
    args = parser.parse_args()
    args.verb(args)


if __name__ == "__main__":
    main()
