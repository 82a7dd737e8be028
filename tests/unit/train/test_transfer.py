from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import ball_dataset

from vesalius.bundle import Bundle
from vesalius.errors import PlanError
from vesalius.image import Labels
from vesalius.nets import UNetSpec, build
from vesalius.nets.channels import replace_channels
from vesalius.plan import Budget, Plan, fingerprint, make_plan, with_settings
from vesalius.train import Start
from vesalius.train.transfer import transfer
from vesalius.transform import Normalisation


def plan_for(channels: tuple[str, ...], labels: tuple[str, ...], **network: str) -> Plan:
    facts = fingerprint(ball_dataset(4, shape=(32, 40)))
    plan = make_plan(facts, Budget(steps=9), step_seconds=lambda *_: 0.01)
    flat = UNetSpec.plain(ndim=2, in_channels=1, out_channels=3, features=(8, 16, 16))
    plan = replace(plan, network=flat, patch_size=(16, 16), batch_size=2)
    plan = with_settings(plan, [f"network.{name}={value}" for name, value in network.items()])
    return replace(
        plan,
        channels=channels,
        labels=Labels.of({name: number for number, name in enumerate(labels, start=1)}),
        normalisation=(Normalisation("z_score"),) * len(channels),
        network=replace_channels(plan.network, len(channels), len(labels) + 1),
    )


def trained(plan: Plan) -> Bundle:
    torch.manual_seed(1)
    return Bundle(plan, ({name: tensor.numpy() for name, tensor in build(plan.network).state_dict().items()},))


def moved(old: Plan, new: Plan) -> tuple[torch.nn.Module, torch.nn.Module]:
    """The old network, and the new one with its weights, both ready to be asked."""
    before = build(old.network)
    start = trained(old)
    before.load_state_dict({name: torch.from_numpy(np.array(w)) for name, w in start.weights.items()})
    torch.manual_seed(2)
    after = build(new.network)
    transfer(after, new, start)
    return before.eval(), after.eval()


def test_a_new_label_leaves_the_logits_of_the_old_ones() -> None:
    before, after = moved(plan_for(("T1",), ("a", "b")), plan_for(("T1",), ("b", "new", "a")))
    x = torch.randn(2, 1, 32, 48)
    with torch.no_grad():
        assert torch.allclose(after(x)[:, [0, 3, 1]], before(x), atol=1e-5)


def test_a_new_channel_changes_nothing_at_first_and_order_does_not_matter() -> None:
    before, after = moved(plan_for(("T1", "T2"), ("a",)), plan_for(("FLAIR", "T2", "T1"), ("a",)))
    x = torch.randn(2, 3, 32, 48)
    with torch.no_grad():
        assert torch.allclose(after(x), before(x[:, [2, 1]]), atol=1e-5)


def test_a_strided_stem_has_its_outputs_in_sets() -> None:
    strides = "[[2,2],[2,2],[2,2]]"
    before, after = moved(
        plan_for(("T1",), ("a", "b"), strides=strides), plan_for(("T1",), ("b", "a", "c"), strides=strides)
    )
    x = torch.randn(1, 1, 32, 48)
    with torch.no_grad():
        assert torch.allclose(after(x)[:, [0, 2, 1]], before(x), atol=1e-5)


def test_what_was_taken_over_is_told() -> None:
    new = plan_for(("FLAIR", "T1"), ("b", "c"))
    told = transfer(build(new.network), new, trained(plan_for(("T1",), ("a", "b"))))
    assert (told.channels, told.new_channels) == (("T1",), ("FLAIR",))
    assert (told.outputs, told.new_outputs) == (("b",), ("c",))


def test_channels_with_other_names_are_the_same_in_order() -> None:
    before, after = moved(plan_for(("T1",), ("a",)), plan_for(("MR",), ("a",)))
    x = torch.randn(1, 1, 32, 48)
    with torch.no_grad():
        assert torch.allclose(after(x), before(x), atol=1e-5)


def test_no_channel_in_common_is_an_error() -> None:
    new = plan_for(("CT", "PET"), ("a",))
    with pytest.raises(PlanError, match="no channel in common"):
        transfer(build(new.network), new, trained(plan_for(("T1",), ("a",))))


def test_another_network_is_refused_and_nothing_is_changed() -> None:
    new = plan_for(("T1",), ("a",))
    network = build(new.network)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(PlanError, match="built otherwise"):
        transfer(network, new, trained(plan_for(("T1",), ("a",), features="8,16,24")))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_labels_are_kept_of_something() -> None:
    with pytest.raises(PlanError, match="keep_labels"):
        Start(keep_labels=True)
