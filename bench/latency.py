"""How long one caller waits who is alone, beside bare aiohttp and one fsync measured in between."""

from collections.abc import Iterable

from .harness import Figure, Options, Scenario, fsync_seconds, median, scratch
from .load import Outcome, Request, put_load
from .servers import bare_server, holdfast_server
from .throughput import AGENT_CALL, COUNTER_CALL

_CALLS: tuple[tuple[str, Request, int], ...] = (
    ("counter", COUNTER_CALL, 2),
    ("agent", AGENT_CALL, 5),
)
"""Name, request, and how many fsyncs it may take on top."""


def _run(options: Options) -> Iterable[Figure]:
    rounds, seconds = (3, 2) if options.is_short else (7, 5)
    fsyncs: list[float] = []
    bare: dict[str, list[Outcome]] = {name: [] for name, _, _ in _CALLS}
    ours: dict[str, list[Outcome]] = {name: [] for name, _, _ in _CALLS}
    with (
        scratch(options) as directory,
        bare_server(directory) as aiohttp,
        holdfast_server(directory) as holdfast,
    ):
        for name, request, _ in _CALLS:
            put_load(aiohttp, request, connections=1, seconds=1)
            put_load(holdfast, request, connections=1, seconds=1)
            for _ in range(rounds):
                fsyncs += fsync_seconds(directory)
                for server, outcomes in ((aiohttp, bare[name]), (holdfast, ours[name])):
                    outcomes.append(put_load(server, request, connections=1, seconds=seconds))
    fsync = median(fsyncs)
    yield Figure(what="one fsync", value=fsync * 1e6, unit="us", note="measured between rounds")
    for name, _, fsyncs_max in _CALLS:
        bare_median = median(each.p50_seconds for each in bare[name])
        our_median = median(each.p50_seconds for each in ours[name])
        our_p99 = median(each.p99_seconds for each in ours[name])
        yield Figure(what=f"bare aiohttp, {name} body", value=bare_median * 1e6, unit="us")
        yield Figure(
            what=f"holdfast, {name}",
            value=our_median * 1e6,
            unit="us",
            at_most=(bare_median + fsyncs_max * fsync) * 1e6,
            note=f"bare + {(our_median - bare_median) / fsync:.1f} fsyncs, of {fsyncs_max}; "
            f"p99 {our_p99 * 1e6:.0f} us",
        )


LATENCY = Scenario(
    name="latency", title="One connection over HTTP: median latency, fsync", run=_run
)
