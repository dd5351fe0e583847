"""The long form of the crash tests: a real server killed as often as you like.

    python -m tests.crash.soak --kills 1000 --seed 7

Rounds of forty kills follow each other on one data directory. Each prints a line; at the end
stand the sums, the broken promises and the seed. The exit code is 1 if a promise was broken, and
the directory with its ledgers is then kept for whoever looks into it.
"""

import argparse
import asyncio
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from tests.crash.load import Request
from tests.crash.rounds import Plan, Report, find_port, run_round

ROUND_KILLS = 40
COLUMNS = (
    ("kills", lambda report: report.kills),
    ("in start", lambda report: report.early_kills),
    ("stops", lambda report: report.stops),
    ("slowest", lambda report: f"{report.slowest_stop:.2f} s"),
    ("requests", lambda report: report.requests),
    ("answers", lambda report: report.answers),
    ("steps", lambda report: report.steps),
    ("again", lambda report: report.repeated_steps),
    ("seconds", lambda report: f"{report.seconds:.0f}"),
    ("broken", lambda report: len(report.violations)),
)
