"""Readers: one for each format that models come in. None of them runs anything that a file says."""
