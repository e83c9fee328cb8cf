"""A support vector machine for each genre, a baseline of Wehrmann and Barros 2017; probabilities are Platt's.

A video is the mean over time of each expert's vectors, which for descriptors of a whole video, such as the
table ``lowlevel_video``, are those themselves. scikit-learn fits; what it found is kept as buffers, and the
decision is computed by torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.evaluation.metrics import average_precision
from train.layers.basic import mean_over_time
from train.loading.batch import Batch
from train.model import SolvedModel

Array = NDArray[np.float64]

# Platt's sigmoid may not fall, which too few positives can bring about: the order is the machine's.
LEAST_SLOPE = 0.01


Kernel = Literal["rbf", "linear"]


@dataclass(frozen=True)
class SvmOptions:
    """How the machines are fitted.

    Attributes:
        kernel: exp(-gamma |x - y|^2) (``rbf``), the inner product (``linear``), or both, which are tried.
        c: costs of an error that are tried.
        gamma: widths of the ``rbf`` kernel that are tried. Of all combinations each genre takes that with
            the highest average precision on the validation split, of equal ones the first.
        folds: of the cross-validation on the training split whose decisions Platt's sigmoid is fitted to.
    """

    kernel: tuple[Kernel, ...] = ("rbf",)
    c: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)
    gamma: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0)
    folds: int = 5

    def __post_init__(self) -> None:
        if not self.kernel:
            raise ValueError("kernel is empty; name rbf, linear or both")
        for name in ("c", "gamma"):
            if not getattr(self, name) or min(getattr(self, name)) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; numbers above 0 are needed")
        if self.folds < 2:
            raise ValueError(f"folds is {self.folds}; at least 2 are needed")


class Svm(SolvedModel):
    """Buffers: ``vectors`` (support vectors, width) of all genres together, ``duals`` (genres, support
    vectors), 0 where a vector is none of the genre's, and of each genre ``intercepts``, ``gammas`` (0: its
    kernel is linear), and the line ``slopes`` x decision + ``offsets`` that is the logit.
    """

    summary = "a support vector machine for each genre on the means over time, Platt scaling"
    Options = SvmOptions
    uses_order = False
    vectors: Tensor
    duals: Tensor
    intercepts: Tensor
    gammas: Tensor
    slopes: Tensor
    offsets: Tensor

    def __init__(self, inputs: Mapping[str, int], genres: int, options: SvmOptions) -> None:
        super().__init__(inputs, genres, options)
        self.register_buffer("vectors", torch.zeros(0, sum(inputs.values()) + len(inputs)))
        self.register_buffer("duals", torch.zeros(genres, 0))
        for name in ("intercepts", "gammas", "slopes", "offsets"):
            self.register_buffer(name, torch.zeros(genres))

    def embed(self, batch: Batch) -> Tensor:
        """The means, and for each expert whether the video lacks it."""
        means = [mean_over_time(batch.features[name], batch.padding[name]) for name in self.inputs]
        lacks = [~batch.present[name].unsqueeze(1) for name in self.inputs]
        return torch.cat([*means, *lacks], dim=1)

    def decide(self, vectors: Tensor) -> Tensor:
        """(batch, width) to the decisions of the machines, (batch, genres), above 0 for the genre."""
        linear = vectors @ self.vectors.T @ self.duals.T + self.intercepts
        if self.options.kernel == ("linear",):
            return linear
        exact = "donot_use_mm_for_euclid_dist"  # the other way loses digits of small distances
        squares = torch.cdist(vectors, self.vectors, compute_mode=exact).square()
        kernels = torch.exp(-squares.unsqueeze(1) * self.gammas.unsqueeze(1))
        return torch.where(self.gammas == 0, linear, (kernels * self.duals).sum(dim=2) + self.intercepts)

    def forward(self, batch: Batch) -> Tensor:
        return self.decide(self.embed(batch)) * self.slopes + self.offsets

    def solve(self, training: Iterable[Batch], validation: Iterable[Batch], *, seed: int) -> None:
        """``seed`` is that of the folds."""
        (x, y), known = self._collected(training), self._collected(validation)
        machines = [
            _machine(self.options, x, y[:, i], (known[0], known[1][:, i]), seed) for i in range(self.genres)
        ]
        used = np.unique(np.concatenate([machine.support for machine in machines]))
        duals = np.zeros((self.genres, len(used)))
        for row, machine in zip(duals, machines, strict=True):
            row[np.searchsorted(used, machine.support)] = machine.duals
        self.vectors, self.duals = _float(x[used]), _float(duals)
        self.intercepts = _float([machine.intercept for machine in machines])
        self.gammas = _float([machine.gamma for machine in machines])
        self.slopes = _float([machine.slope for machine in machines])
        self.offsets = _float([machine.offset for machine in machines])

    @torch.no_grad()
    def _collected(self, batches: Iterable[Batch]) -> tuple[Array, NDArray[np.bool_]]:
        found = [(self.embed(batch), batch.labels) for batch in batches]
        x, y = (torch.cat(part).double().numpy() for part in zip(*found, strict=True))
        return x, y > 0


def _float(values: Any) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))


@dataclass(frozen=True)
class _Machine:
    """``support``: rows of the training videos; decision = sum of duals x kernels + intercept."""

    support: NDArray[np.intp]
    duals: Array
    intercept: float
    gamma: float
    slope: float
    offset: float


def _machine(
    options: SvmOptions,
    x: Array,
    y: NDArray[np.bool_],
    validation: tuple[Array, NDArray[np.bool_]],
    seed: int,
) -> _Machine:
    """One genre's. Where all training videos have it, or none, the prediction is that share of them."""
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.svm import SVC

    rare = int(min(y.sum(), (~y).sum()))
    if not rare:
        none = np.zeros(0)
        return _Machine(np.zeros(0, np.intp), none, 0.0, 1.0, *platt(np.zeros(len(y)), y))

    def reached(machine: Any) -> float:
        decisions = machine.decision_function(validation[0])
        return average_precision(validation[1][:, None], decisions[:, None])

    widths: Mapping[Kernel, tuple[float, ...]] = {"rbf": options.gamma, "linear": (0.0,)}
    shapes = [(kernel, gamma) for kernel in options.kernel for gamma in widths[kernel]]
    tried = (
        SVC(C=c, gamma=gamma, kernel=kernel).fit(x, y) for c, (kernel, gamma) in product(options.c, shapes)
    )
    best = max(tried, key=reached)
    decisions = best.decision_function(x)
    if rare > 1:
        folds = StratifiedKFold(min(options.folds, rare), shuffle=True, random_state=seed)
        decisions = cross_val_predict(best, x, y, cv=folds, method="decision_function")
    return _Machine(
        best.support_,
        best.dual_coef_[0],
        float(best.intercept_[0]),
        float(best.gamma),
        *platt(decisions, y),
    )


def platt(decisions: Array, labels: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset of the logit that fits decisions (videos,) best, with Platt's targets.

    Platt 1999, "Probabilistic outputs for support vector machines": the targets are (N+ + 1) / (N+ + 2) for
    the N+ videos that have the genre, 1 / (N- + 2) for the others.
    """
    from sklearn.linear_model import LogisticRegression

    positives, negatives = labels.sum(), (~labels).sum()
    targets = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    # A target t is t videos that have the genre and 1 - t that do not.
    fitted = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(
        np.concatenate([decisions, decisions])[:, None],
        np.repeat([True, False], len(labels)),
        sample_weight=np.concatenate([targets, 1 - targets]),
    )
    slope = float(fitted.coef_[0, 0])
    if slope >= LEAST_SLOPE:
        return slope, float(fitted.intercept_[0])
    share = targets.mean()
    return LEAST_SLOPE, float(np.log(share / (1 - share)))
