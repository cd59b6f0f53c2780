"""``python -m wildmiddle`` and ``torchrun -m wildmiddle`` are the same as ``wildmiddle``."""

from wildmiddle.checks.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
