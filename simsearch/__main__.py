"""`python -m simsearch` is the command `simsearch`."""

from simsearch.cli import main

if __name__ == "__main__":
    main()
