"""``python -m tillwire``."""

from tillwire.cli import main

if __name__ == "__main__":
    main()
