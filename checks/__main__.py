"""``python -m checks`` is the same as ``wildmiddle``."""

from checks.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
