"""`python -m benchmarks.zoo`: train what the zoo lacks."""

from benchmarks.zoo import data_sets
from benchmarks.zoo.choosing import chosen, options
from benchmarks.zoo.growing import grow


def main() -> None:
    arguments = options(__doc__).parse_args()
    grow(chosen(arguments), data_sets.loader(arguments.data), lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
