"""The logits of a whole image: of several networks, and of one that sees slices."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import drawn_bundle
from torch import nn

from vesalius.errors import PlanError
from vesalius.nets import SlicesSpec, UNetSpec
from vesalius.plan import Plan, Prepared, prepare
from vesalius.predict import as_it_is, load_network, load_segmenter, logits_of
from vesalius.predict.logits import windows_of
from vesalius.predict.views import views_of
from vesalius.predict.window import Walk, sliding_window

SHAPE = (20, 18, 16)


pytestmark = pytest.mark.usefixtures("single_precision")


@pytest.fixture(scope="module")
def plan(bundle) -> Plan:
    return bundle.plan


@pytest.fixture(scope="module")
def prepared(plan, image) -> Prepared:
    return prepare(image, plan)


def found(prepared, networks, plan, **how) -> np.ndarray:
    several = (networks,) if isinstance(networks, nn.Module) else networks
    with logits_of(prepared, as_it_is(*several), plan, **how) as logits:
        return np.array(logits)


def test_two_identical_networks_are_one(plan, prepared):
    (network,) = load_segmenter(drawn_bundle(plan), device="cpu").networks
    assert np.array_equal(found(prepared, [network, network], plan), found(prepared, network, plan))
    assert np.array_equal(found(prepared, [network], plan), found(prepared, network, plan))


def test_different_networks_are_averaged(plan, prepared):
    networks = load_segmenter(drawn_bundle(plan, members=3), device="cpu").networks
    each = [found(prepared, network, plan, views=views_of((1,))) for network in networks]
    assert not np.allclose(each[0], each[1], atol=0.01)
    np.testing.assert_allclose(found(prepared, networks, plan, views=views_of((1,))), np.mean(each, axis=0), atol=1e-5)


def test_windows_are_told_once_for_all_networks(plan, prepared):
    networks = load_segmenter(drawn_bundle(plan, members=2), device="cpu").networks
    told: dict[int, list[tuple[int, int]]] = {1: [], 2: []}
    for count, seen in told.items():
        found(prepared, networks[:count], plan, progress=lambda *now, seen=seen: seen.append(now))
    assert told[2] == told[1]
    assert told[1][-1] == (4, 4)


def test_no_network(plan, prepared):
    with pytest.raises(PlanError, match="at least one network"), logits_of(prepared, as_it_is(), plan):
        pass


# --- slices -----------------------------------------------------------------------------------------------------------


def in_slices(plan: Plan, *, axis: int, context: int, depth: int = 1, batch_size: int = 4) -> Plan:
    """The plan with a 2D network that goes through the slices."""
    flat = UNetSpec.plain(ndim=2, in_channels=2 * context + 1, out_channels=3, features=(8, 16))
    patch = tuple(depth if a == axis else 16 for a in range(3))
    return replace(
        plan,
        configuration="2.5d" if context else "2d",
        network=SlicesSpec(inner=flat, axis=axis, context=context),
        patch_size=patch,
        batch_size=batch_size,
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_deep_window_says_what_single_slices_say(axis, plan, prepared):
    flat = in_slices(plan, axis=axis, context=0)
    network = load_network(flat.network, drawn_bundle(flat).weights, torch.device("cpu"))
    deep = found(prepared, network, flat, views=views_of((0, 1, 2)))
    with torch.inference_mode():
        shallow = sliding_window(
            torch.from_numpy(np.array(prepared.array)),
            network,
            flat.patch_size,
            3,
            walk=Walk(batch_size=2),
            views=views_of((0, 1, 2)),
        )
    np.testing.assert_allclose(deep, shallow.numpy(), atol=2e-5)


def test_neighbours_are_seen_where_a_shallow_window_has_none(plan, prepared):
    """With context, the middle of a deep window is what the network says of the whole stack."""
    flat = in_slices(plan, axis=0, context=1, depth=1, batch_size=SHAPE[0])
    network = load_network(flat.network, drawn_bundle(flat).weights, torch.device("cpu"))
    with torch.inference_mode():
        whole = sliding_window(torch.from_numpy(np.array(prepared.array)), network, (SHAPE[0], 16, 16), 3)
    np.testing.assert_allclose(found(prepared, network, flat), whole.numpy(), atol=2e-5)


def test_the_batch_is_laid_along_the_slices(plan):
    flat = in_slices(plan, axis=2, context=0)
    assert windows_of(flat, (40, 40, 30), 0.5) == ((16, 16, 4), (0.5, 0.5, 0.0), 1)
    assert windows_of(flat, (40, 40, 2), 0.5) == ((16, 16, 2), (0.5, 0.5, 0.0), 2)
    assert windows_of(flat, (40, 40, 1), 0.5) == ((16, 16, 1), (0.5, 0.5, 0.0), 4)
    near = in_slices(plan, axis=0, context=1, depth=3, batch_size=4)
    assert windows_of(near, (40, 40, 30), 0.5) == ((12, 16, 16), (2 / 12, 0.5, 0.5), 1)
    assert windows_of(near, (40, 40, 30), 0.1) == ((12, 16, 16), (0.1, 0.1, 0.1), 1)
    assert windows_of(near, (2, 40, 40), 0.5) == ((3, 16, 16), (0.5, 0.5, 0.5), 4)
    assert windows_of(plan, (40, 40, 30), 0.3) == ((16, 16, 16), (0.3, 0.3, 0.3), 2)
