"""Measuring motions and tokenizers."""
