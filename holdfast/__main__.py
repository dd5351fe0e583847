"""The process of the ``holdfast`` command, which is ``python -m holdfast`` as well."""

import gc
from importlib import import_module


def main() -> None:
    """Load the command line and run it, then exit.

    The garbage collector rests meanwhile, until a command begins: all that is loaded stays, and
    looking through it again and again takes a sixth of the time.
    """
    gc.disable()
    import_module(".cli", __package__).main()


if __name__ == "__main__":
    main()
