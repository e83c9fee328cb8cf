"""``python -m train``."""

from train.cli.commands import main

if __name__ == "__main__":
    main()
