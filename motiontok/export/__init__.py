"""A tokenizer and a prior as programs of their own, for C++ and other runtimes."""

from motiontok.export.tokenizer import export_tokenizer

__all__ = ["export_tokenizer"]
