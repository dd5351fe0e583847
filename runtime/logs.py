"""The runtime's loggers: whoever takes their lines may raise, and what is logged goes on.

Most lines are written in the middle of a decision, which must not end half taken, or where the
store has just failed and everybody is to be told. What the program has put there (a handler that
sends lines over the network, a filter that looks for an attribute) is a stranger's, and mostly seen
to fail when something else does.
"""

import logging

_REPORTER = logging.Handler()


class SteadyLogger(logging.Logger):
    """A logger that survives its handlers and filters; their error goes to ``sys.stderr``."""

    def handle(self, record: logging.LogRecord) -> None:
        """As ``Logger.handle``."""
        try:
            super().handle(record)
        except Exception:  # noqa: BLE001  # a stranger's
            _REPORTER.handleError(record)


def make_logger(name: str) -> logging.Logger:
    """The logger ``name``, which others may have configured already.

    Where the program has a class of its own for loggers, it is one of those, and as it is.
    """
    logger = logging.getLogger(name)
    if type(logger) is logging.Logger:
        logger.__class__ = SteadyLogger
    return logger
