"""Images by the same methods: tokenizer, codes, training, measuring, comparing."""

from motiontok.images.codes import ImageCodes, is_image_codes
from motiontok.images.tokenizer import ImageTokenizer, is_image_tokenizer

__all__ = ["ImageCodes", "ImageTokenizer", "is_image_codes", "is_image_tokenizer"]
