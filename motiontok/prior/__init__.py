"""Priors over codes: sampling, likelihood and planning."""

from motiontok.prior.command_limits import CommandLimits
from motiontok.prior.prior import TokenPrior
from motiontok.prior.sampling import SamplingOptions
from motiontok.prior.target_poses import TargetPose

__all__ = ["CommandLimits", "SamplingOptions", "TargetPose", "TokenPrior"]
