"""Showing: results that draw themselves in a notebook. What draws them lies far above, and is loaded when it is asked for."""

from importlib import import_module

PAINTER = "trojancam.report.notebook"  # by name: imports go downward only


class Shown:
    """A result that a notebook shows as HTML, self-contained and without scripts."""

    def _repr_html_(self) -> str:
        return str(import_module(PAINTER).html_of(self))
