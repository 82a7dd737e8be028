"""Training: from a data set and a plan to a bundle, inside the budget."""

from vesalius.train.fit import Status, fit

__all__ = ["Status", "fit"]
