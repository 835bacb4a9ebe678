"""Results as one self-contained page and one JSON file."""
