"""DAPS with a factorised policy: the paper's non-autoregressive variant."""

from __future__ import annotations

from motiontok.methods.daps import Daps
from motiontok.methods.stochastic import factorised_policy
from motiontok.models import FactorisedPolicy

__all__ = ["DapsFactorised"]


class DapsFactorised(Daps):
    """DAPS whose tokens are independent given the window."""

    def _make_policy(self) -> FactorisedPolicy:  # type: ignore[override]
        return factorised_policy(self.config, self.columns)
