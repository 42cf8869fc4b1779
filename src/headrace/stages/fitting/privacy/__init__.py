"""Differentially private fits: DP-SGD with Poisson sampling.

Two data sets are neighbours where one has a row of train more than the other. Then a
fit ends with some weights with at most ``e^epsilon`` times the other's probability,
apart from a probability of ``delta``. This is so as each step samples every row with
one probability, bounds the gradient of each sampled row by ``clip``, and adds noise
(M. Abadi and others, Deep Learning with Differential Privacy, 2016).

Samples and noise are computed from a key and the number of the step. So a fit resumes
exactly, and the guarantee holds only for those who do not know the key.
"""

from __future__ import annotations

from headrace.stages.fitting.privacy.plan import Privacy, plan_privacy

__all__ = ["Privacy", "plan_privacy"]
