"""Results for machines: one outcome, which every command gives, written as JSON, SARIF, JUnit XML or Markdown."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
