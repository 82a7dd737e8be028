"""Training: from a data set and a plan to a bundle, inside the budget."""

from vesalius.train.cascade import fit_cascade
from vesalius.train.findings import Tuned
from vesalius.train.fit import Workshop, fit
from vesalius.train.folds import Folds, cross_validate
from vesalius.train.run import Status, kept_plans
from vesalius.train.transfer import Start
from vesalius.train.tune import kept_search, tune

__all__ = [
    "Folds",
    "Start",
    "Status",
    "Tuned",
    "Workshop",
    "cross_validate",
    "fit",
    "fit_cascade",
    "kept_plans",
    "kept_search",
    "tune",
]
