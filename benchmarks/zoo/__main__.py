"""`python -m benchmarks.zoo`: train what the zoo lacks."""

import argparse
import os
import re
from pathlib import Path

import torch

from benchmarks.zoo import data_sets
from benchmarks.zoo.growing import grow
from benchmarks.zoo.members import PARTS, members


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of GTSRB")
    parser.add_argument("--part", choices=PARTS, help="only this part of the zoo")
    parser.add_argument("--only", default="", help="only names in which this regular expression is found")
    parser.add_argument("--cache", type=Path, help="in place of $TROJANCAM_CACHE")
    arguments = parser.parse_args()
    if arguments.cache is not None:
        os.environ["TROJANCAM_CACHE"] = str(arguments.cache)
    torch.set_num_threads(1)
    chosen = [
        member
        for member in members()
        if arguments.part in (None, member.part) and re.search(arguments.only, member.name)
    ]
    grow(chosen, data_sets.loader(arguments.data), lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
