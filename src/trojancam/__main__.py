"""`python -m trojancam`: the command line, where the script `trojancam` is not on the path."""

from trojancam.cli import app

if __name__ == "__main__":
    app(prog_name="trojancam")
