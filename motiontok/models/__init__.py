"""Encoders and decoders: plain modules without training logic."""

from motiontok.models.decoder import LatentDecoder, TokenDecoder
from motiontok.models.encoder import LatentEncoder
from motiontok.models.factorised import FactorisedPolicy
from motiontok.models.policy import AutoregressivePolicy, Policy, VocabularyHead
from motiontok.models.quantizer import CodebookHead, ProductQuantizer, RefiningDecoder

__all__ = [
    "AutoregressivePolicy",
    "CodebookHead",
    "FactorisedPolicy",
    "LatentDecoder",
    "LatentEncoder",
    "Policy",
    "ProductQuantizer",
    "RefiningDecoder",
    "TokenDecoder",
    "VocabularyHead",
]
