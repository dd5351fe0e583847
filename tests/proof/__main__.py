"""Break Holdfast in every way there is a program for, and write the fault report.

    python -m tests.proof                        all parts, about ten minutes on two cores
    python -m tests.proof --only sim --seed 7    one of them, from a seed
    python -m tests.proof --long                 the numbers of a release, in hours

The page in docs is written only when all parts ran, with --page. The exit code is 1 if a promise
was broken or a part could not be run to its end.
"""

# ruff: noqa: T201  # a program talks to whoever started it

import argparse
import json
import platform
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from importlib.metadata import version
from pathlib import Path

from tests.proof.all_parts import PARTS
from tests.proof.parts import Line, Part, Size, Table
from tests.proof.report import Ran, as_json, as_markdown

ROOT = Path(__file__).resolve().parent.parent.parent


def main() -> int:
    """Run what the command line asks for; gives the exit code."""
    options = _parse()
    size = Size.LONG if options.long else Size.PROVE
    about = _about(size, options.seed)
    for name, value in about.items():
        print(f"{name:<12} {value}")
    chosen = [part for part in PARTS if not options.only or part.name in options.only]
    ran = [_run(part, size, options.seed) for part in chosen]
    if options.json is not None:
        options.json.write_text(json.dumps(as_json(ran, about), indent=2) + "\n", "utf-8")
    if options.page is not None:
        options.page.write_text(as_markdown(ran, about), "utf-8")
    broken = [each for each in ran if not each.is_good]
    injected = sum(line.injected for each in ran for line in each.lines)
    violations = sum(len(each.violations) for each in ran)
    print(f"\n{injected:,} faults, {violations} broken promises, seed {options.seed}")
    for each in broken:
        print(f"  {each.part.name}: {each.error or 'broken promises, above'}")
    return 1 if broken else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = [part.name for part in PARTS]
    parser.add_argument("--only", action="append", choices=names, help="may be given again")
    parser.add_argument("--long", action="store_true", help="the numbers of a release, in hours")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="decides what is random")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there too")
    parser.add_argument("--page", type=Path, metavar="FILE", help="and as Markdown there")
    return parser.parse_args()


def _run(part: Part, size: Size, seed: str) -> Ran:
    """Run a part to its end, and show its lines as they come."""
    print(f"\n{part.title}", flush=True)
    ran = Ran(part=part)
    begun = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix=f"holdfast-{part.name}-"))
    try:
        for each in part.run(size, seed, directory):
            if isinstance(each, Line):
                ran.lines.append(each)
            else:
                ran.tables.append(each)
            _show(each)
    except Exception as error:  # noqa: BLE001  # it runs everything there is; the rest runs too
        traceback.print_exc()
        ran.error = f"{type(error).__name__}: {error}"
    ran.seconds = time.monotonic() - begun
    print(f"  {ran.seconds:.0f} s", flush=True)
    if ran.is_good:
        shutil.rmtree(directory, ignore_errors=True)
    else:
        print(f"  kept in {directory}")
    return ran


def _show(each: Line | Table) -> None:
    if isinstance(each, Table):
        print(f"  {each.title}: {len(each.rows)} rows", flush=True)
    elif each.skipped:
        print(f"  {each.fault}: not done, {each.skipped}", flush=True)
    else:
        found = f"{len(each.violations)} broken promises"
        print(f"  {each.fault}: {each.injected:,} times, {each.checked}; {found}", flush=True)
        for violation in each.violations[:20]:
            print(f"    {violation}", flush=True)


def _about(size: Size, seed: str) -> dict[str, str]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {
        "size": size.value,
        "seed": seed,
        "commit": commit or "unknown",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{platform.machine()}, Linux {platform.release()}",
        "Python": platform.python_version(),
        "rocksdict": version("rocksdict"),
        "aiohttp": version("aiohttp"),
    }


if __name__ == "__main__":
    sys.exit(main())
