"""The model's constants and what may be chosen of dual TV-L1.

Zach, Pock and Bischof 2007, "A duality based approach for realtime TV-L1 optical flow" (DAGM);
Sánchez, Meinhardt-Llopis and Facciolo 2013, "TV-L1 optical flow estimation" (IPOL 3). Values and
behaviour are those of OpenCV's ``DualTVL1OpticalFlow`` (opencv_contrib, optflow/src/tvl1flow.cpp).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from extract.options import Checked

TAU = 0.25  # time step of the dual ascent
LAMBDA = 0.15  # weight of the data term
THETA = 0.3  # how closely u and v are tied
DATA_STEP = LAMBDA * THETA  # l_t: the largest step of the thresholding
DUAL_STEP = TAU / THETA
FLAT = 1.1920929e-07  # FLT_EPSILON: below this squared gradient a pixel says nothing
SMALLEST_SIDE = 16  # the pyramid ends before a side falls below this
MEDIAN_SIDE = 5
CUBIC = -0.75  # OpenCV's and torch's parameter of cubic convolution (Keys 1981)

Variant = Literal["default", "fast"]


@dataclass(frozen=True)
class Tvl1Options(Checked):
    """Defaults are OpenCV's.

    ``epsilon``: in pixels; the iterations of a warp end when the mean squared update of the flow is at
    most epsilon². 0 means a fixed budget: all ``outer_iterations * inner_iterations``.
    ``median``: 5x5 median of the flow before each outer iteration.
    """

    scales: int = 5
    scale_step: float = 0.8
    warps: int = 5
    epsilon: float = 0.01
    inner_iterations: int = 30
    outer_iterations: int = 10
    median: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("scales", "warps", "inner_iterations", "outer_iterations"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: 1 or more")
        if not 0.1 <= self.scale_step < 1:
            raise ValueError(f"scale_step is {self.scale_step}; allowed: from 0.1 to below 1")
        if self.epsilon < 0:
            raise ValueError(f"epsilon is {self.epsilon}; allowed: 0 or more pixels")


VARIANTS: dict[Variant, Tvl1Options] = {
    "default": Tvl1Options(),
    # 18 iterations a warp: three launches of the GPU's kernel, and two thirds of the default's time on a CPU.
    "fast": Tvl1Options(median=False, epsilon=0.0, outer_iterations=1, inner_iterations=18),
}
