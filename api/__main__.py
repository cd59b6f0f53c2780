"""Where ``wildmiddle``, ``python -m wildmiddle`` and ``torchrun -m wildmiddle`` all begin.

The exit code of an error that nobody expected is 3: 1 says that a claim is violated, and nothing
else does. So no module of ours is imported outside of the guard.
"""

import os
import sys
import traceback
from contextlib import suppress

UNEXPECTED, INTERRUPTED = 3, 130


def main() -> int:
    """Run the command line and return its exit code, whatever happens."""
    os.environ["MPLBACKEND"] = "agg"  # no window is opened, whatever a notebook has left there
    try:
        from wildmiddle.checks import cli, streams

        streams.prepare()
        return cli.main()
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        with suppress(Exception):  # where standard error is closed as well
            traceback.print_exc()
            print(
                f"wildmiddle: an unexpected {type(error).__name__}, which says nothing about any "
                "claim; please open an issue with the lines above, the command and pip freeze",
                file=sys.stderr,
            )
        return UNEXPECTED


if __name__ == "__main__":
    raise SystemExit(main())
