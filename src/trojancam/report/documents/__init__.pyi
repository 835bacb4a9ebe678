from . import compare, demo, describing, document, explain, maps, repair, reproduce, scan, sift, sign_off, stimulate
from .describing import DOCUMENTS

__all__ = [
    "DOCUMENTS",
    "compare",
    "demo",
    "describing",
    "document",
    "explain",
    "maps",
    "repair",
    "reproduce",
    "scan",
    "sift",
    "sign_off",
    "stimulate",
]
