"""Encoders and decoders: plain modules without training logic."""

from motiontok.models.decoder import Decoder, WindowDecoder
from motiontok.models.encoder import LatentEncoder
from motiontok.models.factorised import FactorisedPolicy
from motiontok.models.likelihood import (
    BernoulliLikelihood,
    GaussianLikelihood,
    LearnedGaussianLikelihood,
    Likelihood,
)
from motiontok.models.local_decoder import LocalDecoder
from motiontok.models.local_policy import LocalPolicy
from motiontok.models.local_quantizer import LocalQuantizer
from motiontok.models.moving_policy import MovingPolicy
from motiontok.models.policy import AutoregressivePolicy, Policy, VocabularyHead
from motiontok.models.quantizer import CodebookHead, ProductQuantizer, RefiningDecoder

__all__ = [
    "AutoregressivePolicy",
    "BernoulliLikelihood",
    "CodebookHead",
    "Decoder",
    "FactorisedPolicy",
    "GaussianLikelihood",
    "LatentEncoder",
    "LearnedGaussianLikelihood",
    "Likelihood",
    "LocalDecoder",
    "LocalPolicy",
    "LocalQuantizer",
    "MovingPolicy",
    "Policy",
    "ProductQuantizer",
    "RefiningDecoder",
    "VocabularyHead",
    "WindowDecoder",
]
