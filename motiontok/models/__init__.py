"""Encoders and decoders: plain modules without training logic."""

from motiontok.models.decoder import TokenDecoder
from motiontok.models.policy import AutoregressivePolicy, VocabularyHead
from motiontok.models.quantizer import CodebookHead, ProductQuantizer, RefiningDecoder

__all__ = [
    "AutoregressivePolicy",
    "CodebookHead",
    "ProductQuantizer",
    "RefiningDecoder",
    "TokenDecoder",
    "VocabularyHead",
]
