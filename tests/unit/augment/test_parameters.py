"""Parameters: the values that change nothing, and parts of a batch."""

from dataclasses import fields, replace

import pytest
import torch

from vesalius.augment import Augmentation, Parameters, sample


def drawn(batch=8, **chances):
    return sample(Augmentation(**chances), batch, channels=2, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_identity_knows_its_size(ndim):
    still = Parameters.identity(5, ndim=ndim, channels=3)
    assert (still.batch_size, still.channels, still.ndim) == (5, 3, ndim)


def test_select_takes_the_named_elements_in_order():
    full = drawn(noise_p=1.0, elastic_p=1.0, motion_p=1.0)
    picked = full.select([5, 2])
    for f in fields(Parameters):
        if f.name != "mix_partner":
            assert torch.equal(getattr(picked, f.name), getattr(full, f.name)[[5, 2]]), f.name
    assert picked.mix_partner.tolist() == [0, 1]


def mixed(partners):
    still = Parameters.identity(len(partners), ndim=2, channels=1)
    box = torch.tensor([[0.0, 0.5]]).expand(len(partners), 2, 2) * torch.arange(1, len(partners) + 1).view(-1, 1, 1)
    return replace(still, mix_partner=torch.tensor(partners), mix_box=box / len(partners))


def test_select_follows_a_partner_to_its_new_place():
    picked = mixed([2, 1, 3, 0]).select([3, 0, 2])
    assert picked.mix_partner.tolist() == [1, 2, 0]
    assert torch.equal(picked.mix_box, mixed([2, 1, 3, 0]).mix_box[[3, 0, 2]])


def test_select_leaves_unmixed_whose_partner_is_not_selected():
    picked = mixed([2, 0, 3, 0]).select([0, 1])
    assert picked.mix_partner.tolist() == [0, 0]
    assert not picked.mix_box[0].any()
    assert picked.mix_box[1].any()


def test_partners_are_those_who_are_still_needed():
    parameters = mixed([2, 0, 3, 0, 4])
    assert parameters.partners([0, 1]) == [2]
    assert parameters.partners([1, 2, 3]) == [0]
    assert parameters.partners([4]) == []
    assert parameters.partners(range(5)) == []
