"""`python -m tetramer` is `tetramer`."""

from tetramer.cli import main

if __name__ == "__main__":
    main()
