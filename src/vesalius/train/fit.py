"""From a data set and a plan to a bundle, inside the budget."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vesalius.bundle import Bundle, Card
from vesalius.errors import BundleError, DataError, PlanError, VesaliusError
from vesalius.image import Dataset
from vesalius.io.atomic import make_folder, write_text
from vesalius.metrics import evaluate
from vesalius.nets import build
from vesalius.plan import Plan, plan_to_json
from vesalius.plan.device import fast_dtype, find_device
from vesalius.plan.measure import step_seconds
from vesalius.plan.planner import LEAST_STEPS
from vesalius.predict import segment
from vesalius.report import curves
from vesalius.train.batches import draw_batch
from vesalius.train.cache import CachedCase, build_cache
from vesalius.train.checkpoint import Progress, load_checkpoint, save_checkpoint
from vesalius.train.history import History, Moment
from vesalius.train.looking import MARGIN_S, Looking
from vesalius.train.losses import supervised
from vesalius.train.optimise import average_weights, optimisers, set_rate

_WORK = ".fit"  # cache and checkpoint, inside the bundle's folder, removed at the end
_CHECKPOINT_S = 30.0
_MOMENTS = 100  # rows of the history
_LOOKS = 20  # times that the watched cases are segmented
_WATCHED = 4
_MOST_VALIDATED = 24  # cases held out: enough to watch by; the rest teaches more than it tells


@dataclass(frozen=True)
class Status:
    """What `fit` is doing, for a progress bar.

    Args:
        phase: ``"prepare"``, ``"train"`` or ``"validate"``.
        done: Share of the phase, 0 to 1.
        left_s: Estimated seconds to the finished bundle; NaN where unknown.
        moment: The latest moment of training.
    """

    phase: str
    done: float
    left_s: float
    moment: Moment | None = None


def fit(
    dataset: Dataset,
    plan: Plan,
    out: Path | str,
    *,
    device: str = "auto",
    seed: int = 0,
    validation: Sequence[str] | None = None,
    card: Card | None = None,
    resume: bool = False,
    spent_s: float = 0.0,
    on_status: Callable[[Status], None] | None = None,
) -> Bundle:
    """Train a segmenter and write its bundle, inside the plan's budget.

    The learning rate follows the clock: it reaches zero when the time for training ends, however fast the machine
    turns out to be. Time for validating and writing is set aside from what these are measured to take. An
    interruption (Ctrl-C, ``kill -9``) loses at most half a minute: call again with ``resume=True``.

    Args:
        dataset: Cases with references; those without are not used.
        plan: From `make_plan`.
        out: The bundle's folder: new, empty, or that of the run to resume.
        device: Where to train.
        seed: Of everything random. With a budget of steps the result repeats exactly on the same machine.
        validation: Cases to hold out. By default the plan's share of the patients, at most 24 cases; none where
            there is one patient only.
        card: Words for the bundle's card; recipe and scores are filled in.
        resume: Go on with the run in ``out``.
        spent_s: Seconds of the budget that are gone already (index, fingerprint, plan).
        on_status: Called about once a second.

    Returns:
        The bundle, as written to ``out``.

    Raises:
        DataError: No case has a reference, or only one, or a case cannot be read.
        PlanError: The budget is gone before training could start; the message says the least that would do.
        BundleError: ``out`` holds something else, or there is nothing to resume.
    """
    run = _Run(plan, Path(out), find_device(device), seed, spent_s, resume, on_status)
    usable = dataset.with_reference()
    if len(usable) == 0:
        raise DataError("there is no case with a reference to learn from")
    if len(usable) == 1 and validation is None:
        raise DataError(
            "there is one single case with a reference, from which nothing general can be learnt; label a second one "
            "(validation=() trains on one all the same)"
        )
    held_out = _hold_out(usable, plan, seed) if validation is None else tuple(validation)
    teaching = usable.select([i for i in usable.ids if i not in set(held_out)])
    if len(teaching) == 0:
        raise DataError("every case is held out for validation; none is left to learn from")
    run.check()
    try:
        run.open()
        cases = build_cache(usable, plan, run.work / "cases", progress=run.preparing)
        by_id = {case.id: case for case in cases}
        watched = [by_id[i] for i in held_out[:_WATCHED]]
        average = run.train([by_id[i] for i in teaching.ids], watched, len(held_out))
        weights = {name: tensor.cpu().numpy() for name, tensor in average.state_dict().items()}
        bundle = Bundle(
            plan, (weights,), card=card or Card(name=run.out.name), provenance=run.provenance(len(teaching))
        )
        bundle.save(run.out)  # a bundle that works stands before it is scored
        bundle = run.score(Bundle.load(run.out), usable, held_out)
        bundle.save(run.out)
        run.close()
    except BaseException as error:
        run.abandon(interrupted=not isinstance(error, Exception))
        raise
    return bundle


def _hold_out(dataset: Dataset, plan: Plan, seed: int) -> tuple[str, ...]:
    """The validation cases: whole patients, a share of them, in an order that mixes."""
    patients = dataset.patients
    share = min(plan.validation_fraction, _MOST_VALIDATED / len(dataset))
    wanted = math.ceil(share * len(patients))
    if len(patients) < 2 or wanted < 1:
        return ()
    random = np.random.default_rng(seed)
    chosen = {patients[i] for i in random.permutation(len(patients))[:wanted]}
    return tuple(r.id for r in dataset.records if (r.patient or r.id) in chosen)


def _silent(_status: Status) -> None:
    """Tell nobody."""


class _Run:
    """A run's clock, folder and records. The functions above and below say what happens; this knows when and where."""

    def __init__(
        self,
        plan: Plan,
        out: Path,
        device: torch.device,
        seed: int,
        spent_s: float,
        resume: bool,
        on_status: Callable[[Status], None] | None,
    ) -> None:
        self.plan, self.out, self.device, self.seed, self.resume = plan, out, device, seed, resume
        self.work = out / _WORK
        self.progress = Progress(spent_s=spent_s)
        self._began = time.monotonic()
        self._session_spent_s = spent_s
        self._on_status = on_status or _silent
        self._told = -math.inf
        self._history: History | None = None
        self._made_folder = False

    @property
    def spent_s(self) -> float:
        """Seconds of the budget that are gone."""
        return self._session_spent_s + time.monotonic() - self._began

    @property
    def left_s(self) -> float:
        return math.inf if self.plan.budget.time_s is None else self.plan.budget.time_s - self.spent_s

    def tell(self, status: Status, *, now: bool = False) -> None:
        if now or time.monotonic() - self._told >= 1.0:
            self._told = time.monotonic()
            self._on_status(status)

    def preparing(self, done: int, total: int) -> None:
        self.tell(Status("prepare", done / total, self.left_s))

    def check(self) -> None:
        """Refuse a folder that holds something else, or nothing to resume, before anything is written."""
        if self.resume:
            if not (self.work / "run.json").is_file():
                raise BundleError(f"{self.out.name}: there is no interrupted run to resume here")
            state = json.loads((self.work / "run.json").read_text())
            if state != self._identity():
                raise BundleError(f"{self.out.name}: the interrupted run has another plan or seed; resume with its own")
            return
        if self.out.is_dir() and any(self.out.iterdir()):
            hint = " (resume=True goes on with an interrupted run)" if (self.work / "run.json").is_file() else ""
            raise BundleError(f"{self.out.name}: the folder is not empty; name a new one{hint}")

    def open(self) -> None:
        """Take the folder, unless a run that goes on has it already."""
        if self.resume:
            return
        self._made_folder = not self.out.exists()
        make_folder(make_folder(self.out) / _WORK)
        write_text(self.work / "run.json", json.dumps(self._identity()))

    def _identity(self) -> dict[str, object]:
        return {"plan": json.loads(plan_to_json(self.plan)), "seed": self.seed}

    def train(self, cases: Sequence[CachedCase], watched: Sequence[CachedCase], validations: int) -> nn.Module:
        """Train until the budget's end; returns the averaged network."""
        plan, how = self.plan, self.plan.optimisation
        torch.manual_seed(self.seed)
        random = np.random.default_rng(self.seed)
        generator = torch.Generator().manual_seed(self.seed)
        layout = torch.channels_last_3d if plan.ndim == 3 else torch.channels_last
        network = build(plan.network).to(self.device, memory_format=layout)  # type: ignore[call-overload]
        average = copy.deepcopy(network).eval()
        made = optimisers(network, how)
        parts = {"network": network, "average": average, "made": made, "random": random, "generator": generator}
        moments: list[Moment] = []
        checkpoint = self.work / "checkpoint.pt"
        if self.resume and checkpoint.is_file():
            self.progress, moments = load_checkpoint(checkpoint, **parts)
            self._session_spent_s += self.progress.spent_s
        history = self._history = History(self.out, moments)

        dtype = fast_dtype(self.device)
        looking = Looking(watched, plan, validations, self.device)
        saved = time.monotonic()
        losses: list[float] = []
        before, trained_before = time.monotonic(), self.progress.trained_s
        end = self._end_of_training(looking.reserve_s)
        while (done := end(time.monotonic())) < 1:
            rate = set_rate(made, how, step=self.progress.step, progress=done)
            images, classes = draw_batch(cases, plan, random=random, generator=generator, device=self.device)
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
                logits = network(images.contiguous(memory_format=layout))
            loss = supervised(logits, classes)
            for optimiser in made:
                optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), how.gradient_clip)
            for optimiser in made:
                optimiser.step()
            average_weights(average, network, decay=how.average_decay, step=self.progress.step)
            self.progress.step += 1
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                raise PlanError(
                    f"the loss is not finite at step {self.progress.step}; lower optimisation.learning_rate"
                )
            now = time.monotonic()
            self.progress.trained_s = trained_before + now - before
            if done >= len(history.moments) / _MOMENTS:
                dice = looking.dice(average) if done >= looking.taken / _LOOKS else math.nan
                history.add(Moment(self.progress.step, self.progress.trained_s, float(np.mean(losses)), rate, dice))
                losses.clear()
            self.tell(Status("train", done, self.left_s, history.moments[-1] if history.moments else None))
            if now - saved >= _CHECKPOINT_S:
                self.progress.spent_s = self.spent_s
                save_checkpoint(checkpoint, progress=self.progress, moments=history.moments, **parts)
                history.write()
                curves(history.rows(), self.out / "curves.png")
                saved = time.monotonic()
        if self.progress.step == 0:
            raise PlanError(self._too_small(looking.reserve_s))
        if not history.moments or history.moments[-1].step < self.progress.step:
            history.add(
                Moment(
                    self.progress.step,
                    self.progress.trained_s,
                    float(np.mean(losses)) if losses else math.nan,
                    0.0,
                    looking.dice(average),
                )
            )
        return average  # type: ignore[no-any-return]

    def _too_small(self, reserve_s: float) -> str:
        plan, gone = self.plan, self.spent_s
        step_s = step_seconds(plan.network, plan.patch_size, plan.batch_size, device=str(self.device))
        least = math.ceil(gone + reserve_s + LEAST_STEPS * step_s)
        return (
            f"a budget of {plan.budget.time_s:.0f} s is too small: {gone:.0f} s were gone before training could start, "
            f"and {reserve_s:.0f} s are set aside for validating and writing. Give at least {least} s"
        )

    def _end_of_training(self, reserve_s: float) -> Callable[[float], float]:
        """The share of training that is done, as a function of the time."""
        steps = self.plan.budget.steps
        if steps is not None:
            return lambda _now: self.progress.step / steps
        start = time.monotonic()
        already = self.progress.trained_s
        length = max(1e-9, self.left_s - reserve_s + already)
        return lambda now: (already + now - start) / length

    def score(self, bundle: Bundle, dataset: Dataset, held_out: Sequence[str]) -> Bundle:
        """Segment the held-out cases as a user would, as many as time allows, and put their Dice on the card."""
        found: dict[str, list[float]] = {}
        slowest = 0.0
        scored = 0
        for case in dataset.select(held_out):
            if self.left_s < 1.3 * slowest + MARGIN_S:
                break
            self.tell(Status("validate", scored / len(held_out), self.left_s))
            start = time.monotonic()
            assert case.reference is not None
            prediction = segment(case.image, bundle, device=str(self.device))
            values = evaluate(prediction.labels, case.reference, case=case.id, metrics=("dice",)).values
            for target, metrics in values.items():
                found.setdefault(target, []).append(metrics["dice"])
            scored += 1
            slowest = max(slowest, time.monotonic() - start)
        scores = {target: round(float(np.nanmean(dice)), 4) for target, dice in found.items()}
        if scores:
            scores["mean"] = round(float(np.mean([scores[n] for n in bundle.plan.labels.names])), 4)
        words = f"{scored} of {len(held_out)} held-out cases of the same data set" if held_out else "no held-out case"
        card = bundle.card
        return replace(
            bundle,
            card=replace(card, scores=scores, scores_on=words, recipe=card.recipe or self._recipe()),
            provenance={**bundle.provenance, "held_out": list(held_out), "scored": scored, "total_s": self.spent_s},
        )

    def _recipe(self) -> str:
        plan = self.plan
        network = plan.why("network").partition(":")[0] or plan.network.architecture
        patches = f"{plan.batch_size} patches {'x'.join(map(str, plan.patch_size))}"
        time_s = f"{self.progress.trained_s:.0f} s"
        return (
            f"{network}; {self.progress.step} steps of {patches} in {time_s}; {plan.optimisation.optimiser}, "
            "Dice + cross-entropy"
        )

    def provenance(self, cases: int) -> dict[str, object]:
        """What made the bundle."""
        return {
            "vesalius": version("vesalius"),
            "torch": torch.__version__,
            "python": platform.python_version(),
            "device": str(self.device),
            "threads": torch.get_num_threads(),
            "number_format": str(fast_dtype(self.device)).removeprefix("torch."),
            "seed": self.seed,
            "steps": self.progress.step,
            "training_cases": cases,
            "trained_s": round(self.progress.trained_s, 1),
        }

    def abandon(self, *, interrupted: bool) -> None:
        """Let go of the files; after a failure, leave nothing from which nobody could go on."""
        if self._history is not None:
            with contextlib.suppress(VesaliusError):
                self._history.close()
        if interrupted or self.resume or not self.out.is_dir():
            return
        if not ((self.work / "checkpoint.pt").exists() or (self.out / "bundle.json").exists()):
            for name in (_WORK, "events"):
                shutil.rmtree(self.out / name, ignore_errors=True)
            for name in ("history.csv", "curves.png", "weights.safetensors"):
                (self.out / name).unlink(missing_ok=True)
            if self._made_folder:
                with contextlib.suppress(OSError):  # somebody else put something there
                    self.out.rmdir()

    def close(self) -> None:
        """Write the records and remove what only the run needed."""
        assert self._history is not None
        self._history.write()
        self._history.close()
        curves(self._history.rows(), self.out / "curves.png")
        shutil.rmtree(self.work)
        self.tell(Status("validate", 1.0, 0.0, self._history.moments[-1]), now=True)
