"""The solver behind the random walker, against a direct one."""

import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array
from scipy.sparse.linalg import spsolve

from vesalius.classical.multigrid import Multigrid, _joined, _partners


def springs(shape, rng, *, decades):
    """A lattice whose bonds differ by orders of magnitude; some voxels are tied down."""
    ids = np.arange(np.prod(shape)).reshape(shape)
    one = np.concatenate([ids.take(np.arange(n - 1), axis).ravel() for axis, n in enumerate(shape)])
    other = np.concatenate([ids.take(np.arange(1, n), axis).ravel() for axis, n in enumerate(shape)])
    bond = 10.0 ** -rng.uniform(0, decades, one.size)
    tied = np.where(rng.random(ids.size) < 0.01, 1.0, 0.0)
    total = np.bincount(one, bond, minlength=ids.size) + np.bincount(other, bond, minlength=ids.size) + tied
    rows, columns = np.concatenate([one, other, ids.ravel()]), np.concatenate([other, one, ids.ravel()])
    entries = np.concatenate([-bond, -bond, total])
    return csr_array(coo_array((entries, (rows, columns)), shape=(ids.size, ids.size))), tied


@pytest.mark.parametrize("decades", [0, 3, 8])
@pytest.mark.parametrize("shape", [(20, 20), (70, 60), (16, 17, 18)])
def test_the_answer_is_that_of_a_direct_solver(shape, decades, rng):
    matrix, tied = springs(shape, rng, decades=decades)
    right = tied * rng.random(tied.size)
    expected = spsolve(matrix.tocsc(), right)
    np.testing.assert_allclose(Multigrid(matrix).solve(right, tolerance=1e-12), expected, atol=1e-6)


def test_what_is_strongly_bound_is_joined(rng):
    chain = 12
    bond = np.where(np.arange(chain - 1) % 2 == 0, 1.0, 1e-6)  # pairs that are loosely tied to the next
    one = np.arange(chain - 1)
    rows = np.concatenate([one, one + 1, np.arange(chain)])
    columns = np.concatenate([one + 1, one, np.arange(chain)])
    total = np.bincount(one, bond, minlength=chain) + np.bincount(one + 1, bond, minlength=chain)
    matrix = csr_array(coo_array((np.concatenate([-bond, -bond, total]), (rows, columns)), shape=(chain, chain)))
    home, count = _partners(matrix)
    assert count == 6
    assert (home[::2] == home[1::2]).all()
    coarse = _joined(matrix, home, count)
    np.testing.assert_allclose(coarse.sum(axis=1), 0, atol=1e-15)
