"""Plan, then act: the facts about a data set, a budget, and the frozen plan that follows from them."""

from vesalius.plan.adapt import adapt_plan
from vesalius.plan.budget import Budget, parse_memory, parse_time
from vesalius.plan.candidates import Network
from vesalius.plan.fingerprint import ChannelFacts, Fingerprint, fingerprint
from vesalius.plan.plan import Configuration, Plan, Reason, plan_from_json, plan_to_json, with_settings
from vesalius.plan.planner import make_cascade, make_plan
from vesalius.plan.prepare import Prepared, memberships, paint, prepare, prepare_reference
from vesalius.plan.recipe import Loss, Optimisation

__all__ = [
    "Budget",
    "ChannelFacts",
    "Configuration",
    "Fingerprint",
    "Loss",
    "Network",
    "Optimisation",
    "Plan",
    "Prepared",
    "Reason",
    "adapt_plan",
    "fingerprint",
    "make_cascade",
    "make_plan",
    "memberships",
    "paint",
    "parse_memory",
    "parse_time",
    "plan_from_json",
    "plan_to_json",
    "prepare",
    "prepare_reference",
    "with_settings",
]
