"""Codecs that are fitted in a minute, not trained."""
