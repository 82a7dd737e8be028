"""Solve the equations of a network of springs: voxels bound to their neighbours, some strongly, some hardly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_COARSEST = 1500  # unknowns that are solved for at once
_DAMPING = 0.6  # of a step that evens out what is rough
_ROUNDS = 4  # in which neighbours find partners


@dataclass(frozen=True, eq=False)
class _Level:
    """Equations, and which of them are joined on the next level."""

    matrix: Any
    inverse: NDArray[np.float64]
    home: NDArray[np.intp]
    count: int


class Multigrid:
    """Equations whose matrix is symmetric, with a positive diagonal, and off it nothing positive: rows add up to ≥ 0.

    Unknowns that are strongly bound to each other are joined in pairs, twice a level; what is smooth is solved for on
    the coarse levels. Conjugate gradients put right what that leaves.

    Args:
        matrix: ``(n, n)``, ``scipy.sparse`` in rows.

    Source: Notay, Electronic Transactions on Numerical Analysis 37, 2010 (pairwise aggregation); partners are found as
    in parallel matching, by shaking hands, so that whole arrays are worked on at a time.
    """

    def __init__(self, matrix: Any) -> None:
        from scipy.sparse.linalg import splu

        self.levels: list[_Level] = []
        while matrix.shape[0] > _COARSEST:
            first, some = _partners(matrix)
            between = _joined(matrix, first, some)
            second, count = _partners(between)
            home = second[first]
            if count > 0.9 * matrix.shape[0]:
                break
            self.levels.append(_Level(matrix, _DAMPING / matrix.diagonal(), home, count))
            matrix = _joined(between, second, count)
        self.last = splu(matrix.tocsc())

    def solve(self, right: NDArray[np.float64], *, tolerance: float, most: int = 1000) -> NDArray[np.float64]:
        """The unknowns for a right side.

        Args:
            right: ``(n,)``.
            tolerance: Of the energy of what is wrong against that of the answer, its root, > 0.
            most: Steps at most.
        """
        if not self.levels:
            answer: NDArray[np.float64] = self.last.solve(right)
            return answer
        top = self.levels[0]
        unknown, residual = np.zeros_like(right), right.copy()
        direction = np.zeros_like(right)
        before, goal = 1.0, 0.0
        for _ in range(most):
            better = self._cycle(0, residual)
            now = float(residual @ better)
            # About the energy of what is wrong still. A plain residual would not see a far region that is wrong as a
            # whole, since few weak bonds tell it what it should be.
            goal = goal or tolerance**2 * now
            if now <= goal:
                break
            direction = better + (now / before) * direction
            turned = top.matrix @ direction
            step = now / float(direction @ turned)
            unknown += step * direction
            residual -= step * turned
            before = now
        return unknown

    def _cycle(self, depth: int, right: NDArray[np.float64]) -> NDArray[np.float64]:
        """About what the unknowns are; a symmetric operation, as conjugate gradients need."""
        if depth == len(self.levels):
            answer: NDArray[np.float64] = self.last.solve(right)
            return answer
        level = self.levels[depth]
        unknown = level.inverse * right
        residual = right - level.matrix @ unknown
        coarse = np.bincount(level.home, residual, minlength=level.count).astype(np.float64)
        found = self._cycle(depth + 1, coarse)
        if 0 < depth + 1 < len(self.levels):
            found += self._cycle(depth + 1, coarse - self.levels[depth + 1].matrix @ found)
        unknown += found[level.home]
        unknown += level.inverse * (right - level.matrix @ unknown)
        return unknown


def _partners(matrix: Any) -> tuple[NDArray[np.intp], int]:
    """Join each unknown with the one that it is bound to most: ``(home of each, homes)``."""
    n = matrix.shape[0]
    rows = np.repeat(np.arange(n, dtype=np.int32), np.diff(matrix.indptr))
    columns, bond = matrix.indices, -matrix.data
    off = bond > 0
    rows, columns, bond = rows[off], columns[off].astype(np.int32), bond[off]
    # Where many are bound alike, both ends must prefer the same: a number of the pair decides.
    mixed = (rows + columns).astype(np.uint32) * np.uint32(2654435761) >> np.uint32(16)
    bond = bond * (1.0 + 0.1 * mixed / 65536.0)
    home = np.full(n, -1, np.intp)
    strongest = _strongest(rows, columns, bond, n)
    count = 0
    for _ in range(_ROUNDS):
        left = (home[rows] < 0) & (home[columns] < 0)
        if not left.any():
            break
        rows, columns, bond = rows[left], columns[left], bond[left]
        wish = _strongest(rows, columns, bond, n)
        agreed = np.flatnonzero((wish >= 0) & (wish[wish] == np.arange(n)) & (np.arange(n) < wish))
        home[agreed] = home[wish[agreed]] = np.arange(count, count + agreed.size)
        count += agreed.size
    alone = np.flatnonzero(home < 0)
    joins = alone[(strongest[alone] >= 0) & (home[strongest[alone]] >= 0)]
    home[joins] = home[strongest[joins]]
    alone = np.flatnonzero(home < 0)
    home[alone] = np.arange(count, count + alone.size)
    return home, count + alone.size


def _strongest(
    rows: NDArray[np.int32], columns: NDArray[np.int32], bond: NDArray[np.float64], n: int
) -> NDArray[np.intp]:
    """The column of the greatest bond of each row, -1 without any; rows rise."""
    found = np.full(n, -1, np.intp)
    if rows.size:
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        most = np.maximum.reduceat(bond, starts)
        at = bond == np.repeat(most, np.diff(starts, append=rows.size))
        found[rows[at]] = columns[at]
    return found


def _joined(matrix: Any, home: NDArray[np.intp], count: int) -> Any:
    """The equations of homes: sums of those of their members."""
    from scipy.sparse import coo_array, csr_array

    rows = np.repeat(home, np.diff(matrix.indptr))
    return csr_array(coo_array((matrix.data, (rows, home[matrix.indices])), shape=(count, count)))
