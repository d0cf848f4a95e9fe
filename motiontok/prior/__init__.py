"""Priors over codes: sampling, likelihood and planning."""

from motiontok.prior.prior import TokenPrior
from motiontok.prior.sampling import SamplingOptions

__all__ = ["SamplingOptions", "TokenPrior"]
