"""What makes the documentation's site out of docs/, README and the docstrings."""
