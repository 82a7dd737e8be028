import copy
from typing import get_args

import pytest
import torch
from torch import nn

from vesalius.nets import CNNSpec, FCNSpec, UNetSpec, build
from vesalius.plan import Optimisation
from vesalius.plan.recipe import OptimiserKind, Schedule
from vesalius.train.optimise import (
    OPTIMISERS,
    SCHEDULES,
    Muon,
    average_weights,
    optimisers,
    orthogonalise,
    set_rate,
)


@pytest.mark.parametrize("shape", [(8, 8), (4, 32), (32, 4)])
def test_orthogonalise_keeps_singular_vectors(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    made = orthogonalise(matrix).float()
    values = torch.linalg.svdvals(made)
    strong = s > 0.1 * s.max()
    assert ((values > 0.5) & (values < 1.3))[: int(strong.sum())].all()
    diagonal = (u.T @ made @ vh.T).diagonal()[strong]
    assert (diagonal > 0.5).all()  # each direction is its own, not its opposite's or its neighbour's


@pytest.mark.parametrize("shape", [(16, 432), (48, 12), (24, 24)])
def test_orthogonalise_is_newton_and_schulz_up_to_rounding(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    x = matrix.double() / matrix.norm()
    for _ in range(5):  # the map as it is written, on whichever side
        gram = x @ x.T
        x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
    assert (orthogonalise(matrix).double() - x).norm() < 0.03 * x.norm()


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 2, 1))


def held(network: nn.Module, how: Optimisation) -> list[set[str]]:
    """The names of the weights of each optimiser; each weight once."""
    names = {id(weight): name for name, weight in network.named_parameters()}
    lists = [
        [names[id(w)] for group in made.param_groups for w in group["params"]] for made in optimisers(network, how)
    ]
    assert sorted(name for names in lists for name in names) == sorted(names.values())
    return [set(names) for names in lists]


def test_the_tables_are_whole() -> None:
    assert set(OPTIMISERS) == set(get_args(OptimiserKind))
    assert set(SCHEDULES) == set(get_args(Schedule))


@pytest.mark.parametrize("name", OPTIMISERS)
def test_each_optimiser_learns_and_leaves_no_weight_out(name: OptimiserKind) -> None:
    network = small_network()
    how = Optimisation(optimiser=name, learning_rate=0.02 if name == "muon" else 0.01, warm_up_steps=2)
    held(network, how)
    made = optimisers(network, how)
    image = torch.randn(2, 1, 16, 16)
    target = (image[:, 0] > 0).long()
    losses = []
    for step in range(90):
        set_rate(made, how, step=step, progress=step / 90)
        loss = nn.functional.cross_entropy(network(image), target)
        for optimiser in made:
            optimiser.zero_grad()
        loss.backward()
        for optimiser in made:
            optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


# --- what Muon takes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("ndim", [2, 3])
def test_of_a_unet_muon_takes_all_kernels_but_the_first_and_the_heads(ndim, residual) -> None:
    spec = UNetSpec.plain(ndim=ndim, in_channels=2, out_channels=3, features=(8, 16, 32))
    network = build(UNetSpec(**{**vars(spec), "residual": residual}))
    kernels = [name for name, weight in network.named_parameters() if weight.ndim > 2]
    muon, _ = held(network, Optimisation())
    assert muon == {name for name in kernels[1:] if "head" not in name}
    assert len(muon) == len(kernels) - 1 - len(network.heads)


@pytest.mark.parametrize(
    "spec",
    [
        CNNSpec(ndim=2, in_channels=1, out_channels=2, patch=(10, 10), features=(4, 8), hidden=(16,),
                kernels=((3, 3), (3, 3)), pools=((2, 2), (2, 2))),
        FCNSpec(ndim=2, in_channels=3, out_channels=5, variant="8s", encoder="resnet18", width=0.25),
    ],
    ids=["cnn", "fcn"],
)  # fmt: skip
def test_without_a_layer_that_is_called_a_head_those_like_the_last_are(spec) -> None:
    network = build(spec)
    muon, rest = held(network, Optimisation())
    assert muon
    shapes = {name: tuple(weight.shape) for name, weight in network.named_parameters()}
    assert all(len(shapes[name]) == 4 and shapes[name][0] != spec.out_channels for name in muon)
    assert any(len(shapes[name]) == 4 and shapes[name][0] == spec.out_channels for name in rest)


def test_of_a_transformer_muon_takes_the_matrices_between_hidden_layers() -> None:
    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.position = nn.Parameter(torch.zeros(1, 16, 12))
            self.patches = nn.Conv2d(1, 12, 4, stride=4)
            self.kind = nn.Embedding(3, 12)
            self.block = nn.TransformerEncoderLayer(12, 2, 24)
            self.local = nn.Conv2d(12, 12, 3, groups=12)
            self.between = nn.ConvTranspose2d(12, 6, 2, stride=2)
            self.deep = nn.Conv2d(12, 2, 1)
            self.fine = nn.Conv2d(6, 2, 1)

    network = Transformer()
    muon, rest = held(network, Optimisation())
    assert muon == {
        "block.self_attn.in_proj_weight",
        "block.self_attn.out_proj.weight",
        "block.linear1.weight",
        "block.linear2.weight",
        "between.weight",
    }
    assert {"position", "patches.weight", "kind.weight", "local.weight", "deep.weight", "fine.weight"} <= rest


def test_a_network_with_nothing_hidden_is_learned_by_adamw() -> None:
    (only,) = optimisers(nn.Sequential(nn.Conv2d(1, 2, 1)), Optimisation())
    assert isinstance(only, torch.optim.AdamW)


def test_frozen_weights_are_left_alone() -> None:
    network = small_network()
    network[2].weight.requires_grad_(False)
    for kind in OPTIMISERS:
        made = optimisers(network, Optimisation(optimiser=kind))
        assert all(w is not network[2].weight for o in made for g in o.param_groups for w in g["params"])


def test_a_step_of_muon_does_not_depend_on_how_kernels_lie_in_memory() -> None:
    torch.manual_seed(0)
    plain = torch.randn(8, 6, 3, 3)
    slope = torch.randn(8, 6, 3, 3)
    steps = []
    for layout in (torch.contiguous_format, torch.channels_last):
        weight = nn.Parameter(plain.clone(memory_format=layout))
        weight.grad = slope.clone(memory_format=layout)
        Muon([weight], learning_rate=0.5, momentum=0.9, weight_decay=0.1).step()
        steps.append(weight.detach() - plain * (1 - 0.5 * 0.1))
    assert torch.allclose(*steps, atol=0.01)
    # Of a first step the momentum is the slope, whose singular values the step brings near the rate.
    values = torch.linalg.svdvals(steps[0].reshape(8, -1))
    assert ((values > 0.5 * 0.65) & (values < 0.5 * 1.25)).all()
    assert (steps[0] * slope).sum() < 0


def test_norms_and_biases_do_not_decay_with_adamw() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    made = optimisers(network, Optimisation(optimiser="adamw", weight_decay=0.5, learning_rate=0.1, warm_up_steps=0))
    for weight in network.parameters():
        nn.init.ones_(weight)
        weight.grad = torch.zeros_like(weight)
    made[0].step()
    assert torch.allclose(network[0].weight, torch.tensor(0.95))
    assert all((weight == 1).all() for weight in (network[0].bias, network[1].weight, network[1].bias))


# --- the schedule -----------------------------------------------------------------------------------------------------


def test_the_rate_rises_then_falls_to_nothing() -> None:
    network = small_network()
    how = Optimisation(schedule="linear", warm_up_steps=10)
    made = optimisers(network, how)
    assert set_rate(made, how, step=4, progress=0.0) == pytest.approx(0.5)
    assert set_rate(made, how, step=10, progress=0.25) == pytest.approx(0.75)
    assert made[0].param_groups[0]["lr"] == pytest.approx(0.75 * how.learning_rate)
    assert set_rate(made, how, step=99, progress=1.2) == 0.0


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        ("linear", (1.0, 0.75, 0.5, 0.0)),
        ("trapezoid", (1.0, 1.0, 1.0, 0.0)),
        ("poly", (1.0, 0.771890, 0.535887, 0.0)),  # 0.75 and 0.5 to the power 0.9
        ("cosine", (1.0, 0.853553, 0.5, 0.0)),  # (1 + √½) / 2
        ("constant", (1.0, 1.0, 1.0, 1.0)),
    ],
)
@pytest.mark.parametrize("kind", OPTIMISERS)
def test_every_schedule_warms_up_and_falls_as_it_says(kind, schedule, shares) -> None:
    how = Optimisation(optimiser=kind, schedule=schedule, warm_up_steps=20)
    made = optimisers(small_network(), how)
    for progress, share in zip((0.0, 0.25, 0.5, 1.0), shares, strict=True):
        assert set_rate(made, how, step=1000, progress=progress) == pytest.approx(share, abs=1e-6)
        assert set_rate(made, how, step=4, progress=progress) == pytest.approx(share / 4, abs=1e-6)
        assert set_rate(made, how, step=1000, progress=progress, scale=0.5) == pytest.approx(share / 2, abs=1e-6)
        for optimiser in made:
            assert all(group["lr"] == pytest.approx(group["peak"] * share / 2) for group in optimiser.param_groups)


def test_a_trapezoid_falls_in_a_straight_line_over_the_last_three_tenths() -> None:
    how = Optimisation(schedule="trapezoid", warm_up_steps=0)
    made = optimisers(small_network(), how)
    found = [set_rate(made, how, step=9, progress=progress) for progress in (0.7, 0.775, 0.85, 0.97)]
    assert found == pytest.approx([1.0, 0.75, 0.5, 0.1])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_training_that_is_stopped_early_cools_down_in_a_straight_line(schedule) -> None:
    how = Optimisation(schedule=schedule, warm_up_steps=0)
    made = optimisers(small_network(), how)
    at = set_rate(made, how, step=9, progress=0.2)
    found = [set_rate(made, how, step=9, progress=progress, stopped_at=0.2) for progress in (0.2, 0.4, 0.6, 1.0)]
    assert found == pytest.approx([at, 0.75 * at, 0.5 * at, 0.0])
    assert set_rate(made, how, step=9, progress=0.1, stopped_at=0.2) == set_rate(made, how, step=9, progress=0.1)


# --- the average ------------------------------------------------------------------------------------------------------


def test_the_average_follows_the_weights() -> None:
    network = small_network()
    average = copy.deepcopy(network)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(1.0)
    before = [w.clone() for w in average.parameters()]
    average_weights(average, network, decay=0.9, step=1000)
    for old, new, goal in zip(before, average.parameters(), network.parameters(), strict=True):
        assert torch.allclose(new, old + 0.1 * (goal - old), atol=1e-6)
    average_weights(average, network, decay=0.9, step=0)  # early on it forgets nearly everything
    for new, goal in zip(average.parameters(), network.parameters(), strict=True):
        assert torch.allclose(new, goal, atol=0.11)
