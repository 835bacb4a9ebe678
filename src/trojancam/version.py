"""The version: in one place, so that nothing has to import the package root for it."""

__version__ = "0.1.0"
