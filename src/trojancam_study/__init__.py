"""The study of 2023, rebuilt: its networks, figures, tables and claims, and its eight questions answered with numbers."""
