"""Encoders and decoders: plain modules without training logic."""

from motiontok.models.autoregressive_encoder import AutoregressivePolicy, Policy, VocabularyHead
from motiontok.models.bidirectional_encoder import LatentEncoder
from motiontok.models.decoder import Decoder, WindowDecoder
from motiontok.models.factorised_encoder import FactorisedPolicy
from motiontok.models.learned_lopq_policy import LearnedLopqPolicy
from motiontok.models.likelihood import (
    BernoulliLikelihood,
    GaussianLikelihood,
    LearnedGaussianLikelihood,
    Likelihood,
)
from motiontok.models.lopq_decoder import LopqDecoder
from motiontok.models.lopq_policy import LopqPolicy
from motiontok.models.lopq_quantizer import LopqQuantizer
from motiontok.models.product_quantizer import CodebookHead, ProductQuantizer, RefiningDecoder

__all__ = [
    "AutoregressivePolicy",
    "BernoulliLikelihood",
    "CodebookHead",
    "Decoder",
    "FactorisedPolicy",
    "GaussianLikelihood",
    "LatentEncoder",
    "LearnedGaussianLikelihood",
    "LearnedLopqPolicy",
    "Likelihood",
    "LopqDecoder",
    "LopqPolicy",
    "LopqQuantizer",
    "Policy",
    "ProductQuantizer",
    "RefiningDecoder",
    "VocabularyHead",
    "WindowDecoder",
]
