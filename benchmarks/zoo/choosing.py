"""Choosing networks of the zoo on the command line: the options that all of its programs take."""

import argparse
import os
import re
from pathlib import Path

import torch

from benchmarks.zoo.members import PARTS, Member, Part, members


def options(description: str | None, only: str = "") -> argparse.ArgumentParser:
    """A parser with the data set, a part of the zoo, names in it (`only` unless said), and the cache."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True, help="the folder of GTSRB")
    parser.add_argument("--part", choices=PARTS, help="only this part of the zoo")
    parser.add_argument("--only", default=only, help="only names in which this regular expression is found")
    parser.add_argument("--cache", type=Path, help="in place of $TROJANCAM_CACHE")
    return parser


def chosen(arguments: argparse.Namespace) -> list[Member]:
    """The networks that these options choose; from now on there is one thread, and the cache is the one that was said."""
    if arguments.cache is not None:
        os.environ["TROJANCAM_CACHE"] = str(arguments.cache)
    torch.set_num_threads(1)
    return matching(arguments.part, arguments.only)


def matching(part: Part | None, only: str = "") -> list[Member]:
    """The networks of a part of the zoo, or of all, in whose name a regular expression is found."""
    return [member for member in members() if part in (None, member.part) and re.search(only, member.name)]
