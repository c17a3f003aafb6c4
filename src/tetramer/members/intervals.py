"""Prediction intervals: split conformal prediction, calibrated by crepes on rows the members had not seen.

crepes brings pandas and scikit-learn, a second of imports; answering takes one sorted array and its rule, so only the
calibration imports it.
"""

from dataclasses import dataclass

import numpy as np

FEWEST = 20  # calibration rows below which no interval is given
FLOORS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)  # tried shares of the mean spread that every row gets on top of its own


@dataclass(frozen=True)
class Intervals:
    r"""Intervals :math:`\hat y ± q_\alpha (s + f)` of one target; s: the members' spread, f: a floor."""

    residuals: np.ndarray  # (m,) |truth − prediction| of the calibration rows
    spread: np.ndarray  # (m,) of the same rows
    floor: float

    @classmethod
    def fit(cls, error: np.ndarray, spread: np.ndarray) -> "Intervals | None":
        """From errors (n,), NaN where unknown, and spreads (n,); None with fewer than 20 known rows.

        The floor is the one whose 90 % intervals are narrowest on average; if no member's spread tells anything,
        all rows get the same width.
        """
        known = np.isfinite(error) & np.isfinite(spread)
        if known.sum() < FEWEST:
            return None
        size, known_spread = np.abs(error[known]), spread[known]
        if not known_spread.mean() > 0:
            return cls(size, known_spread, 1.0)
        tried = [cls(size, known_spread, share * float(known_spread.mean())) for share in FLOORS]
        return min(tried, key=lambda one: one.mean_width(0.9))

    def mean_width(self, level: float) -> float:
        """Mean half width over the calibration rows, by crepes."""
        from crepes import ConformalRegressor

        regressor, sigma = ConformalRegressor(), self.sigma(self.spread)
        regressor.fit(self.residuals, sigmas=sigma)
        ends = regressor.predict_int(np.zeros(len(sigma)), sigmas=sigma, confidence=level)
        return float(ends[:, 1].mean())

    def sigma(self, spread: np.ndarray) -> np.ndarray:
        """The scale of a row's error, (n,) → (n,)."""
        return np.asarray(spread + self.floor)

    def place(self, level: float) -> int:
        """Which of the calibration rows' errors, from the largest, an interval reaches to."""
        return int((1 - level + 1e-12) * (len(self.residuals) + 1))  # (1 − 0.9) · 100 would be 9.999…, cut to 9

    def endless(self, level: float) -> bool:
        """Whether too few rows calibrate for an interval of this level to have ends."""
        return self.place(level) < 1

    def __call__(self, prediction: np.ndarray, spread: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends (n,), (n,); NaN where there is no prediction, infinite if too few rows calibrate."""
        if self.endless(level):
            endless = np.where(np.isnan(prediction), np.nan, np.inf)
            return -endless, endless
        factor = np.sort(self.residuals / self.sigma(self.spread))[-self.place(level)]  # crepes' rule
        half = factor * self.sigma(spread)
        return prediction - half, prediction + half
