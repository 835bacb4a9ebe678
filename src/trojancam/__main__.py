"""The command line, as the script `trojancam` and as `python -m trojancam`."""

import sys


def main() -> None:
    """Run the command line, and exit; a failure before it is there must not have the exit code of a verdict either."""
    try:
        from trojancam.cli import app
    except KeyboardInterrupt:
        from trojancam.faults import INTERRUPTED

        sys.exit(INTERRUPTED)
    except BaseException as error:  # libraries written in Rust raise what is no `Exception`
        from trojancam.faults import FAULT, in_words, logged

        print(f"fault: {in_words(error, logged(error))}", file=sys.stderr)
        sys.exit(FAULT)
    app(prog_name="trojancam")


if __name__ == "__main__":
    main()
