"""Which optimiser learns most in few steps? Equal steps, equal data, equal seed, one after the other.

    python benchmarks/recipe.py ../shared/data/msd_hippocampus --steps 300

Prints the mean Dice on the same held-out cases, and the seconds that training took. The learning rates
are usual ones and were not searched for.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from vesalius.io.layouts import index
from vesalius.plan import Budget, fingerprint, make_plan, with_settings
from vesalius.plan.candidates import network_sizes
from vesalius.train import fit

RECIPES = {
    "muon": ["optimisation.optimiser=muon", "optimisation.learning_rate=0.02"],
    "adamw": ["optimisation.optimiser=adamw", "optimisation.learning_rate=0.003", "optimisation.momentum=0.9"],
    "sgd": ["optimisation.optimiser=sgd", "optimisation.learning_rate=0.02", "optimisation.momentum=0.9"],
}


def main() -> None:
    """Train with each optimiser and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--size", type=int, default=2, help="of the U-Net, 0 the largest")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    dataset = index(args.folder)
    facts = fingerprint(dataset)
    plan = make_plan(facts, Budget(steps=args.steps))
    words, network = network_sizes("unet", facts, plan.patch_size, plan.spacing_mm)[args.size]
    plan = replace(plan, network=network)
    print(f"{words}; {args.steps} steps of {plan.batch_size} patches")
    for name, settings in RECIPES.items():
        chosen = with_settings(plan, settings)
        with tempfile.TemporaryDirectory() as folder:
            bundle = fit(dataset, chosen, Path(folder) / name, seed=args.seed)
        print(f"{name:6} Dice {bundle.card.scores['mean']:.4f}  {bundle.provenance['trained_s']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
