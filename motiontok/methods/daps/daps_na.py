"""DAPS with a factorised policy: the paper's non-autoregressive variant."""

from __future__ import annotations

from motiontok.methods.daps.daps import Daps

__all__ = ["DapsFactorised"]


class DapsFactorised(Daps):
    """DAPS whose tokens are independent given the observation."""

    factorised = True
