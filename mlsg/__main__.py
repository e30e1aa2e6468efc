"""`python -m mlsg` is `mlsg`."""

from mlsg.cli import main

if __name__ == "__main__":
    main()
