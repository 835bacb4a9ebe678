"""Judging heat maps and networks: localisation against a known mask."""
