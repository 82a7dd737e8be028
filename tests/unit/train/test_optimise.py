import copy

import pytest
import torch
from torch import nn

from vesalius.plan import Optimisation
from vesalius.train.optimise import average_weights, optimisers, orthogonalise, set_rate


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


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 2, 1))


@pytest.mark.parametrize("name", ["muon", "adamw", "sgd"])
def test_each_optimiser_learns_and_leaves_no_weight_out(name: str) -> None:
    network = small_network()
    how = Optimisation(optimiser=name, learning_rate=0.02 if name == "muon" else 0.01, warm_up_steps=2)  # type: ignore[arg-type]
    made = optimisers(network, how)
    held = [id(p) for o in made for g in o.param_groups for p in g["params"]]
    assert sorted(held) == sorted(id(p) for p in network.parameters())
    image = torch.randn(2, 1, 16, 16)
    target = (image[:, 0] > 0).long()
    losses = []
    for step in range(60):
        set_rate(made, how, step=step, progress=step / 60)
        loss = nn.functional.cross_entropy(network(image), target)
        for optimiser in made:
            optimiser.zero_grad()
        loss.backward()
        for optimiser in made:
            optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_the_rate_rises_then_falls_to_nothing() -> None:
    network = small_network()
    how = Optimisation(warm_up_steps=10)
    made = optimisers(network, how)
    assert set_rate(made, how, step=4, progress=0.0) == pytest.approx(0.5)
    assert set_rate(made, how, step=10, progress=0.25) == pytest.approx(0.75)
    assert made[0].param_groups[0]["lr"] == pytest.approx(0.75 * how.learning_rate)
    assert set_rate(made, how, step=99, progress=1.2) == 0.0


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
