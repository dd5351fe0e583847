"""Everything there is to measure, in the order in which it is run and shown."""

from .chain import CHAIN
from .collect import COLLECT
from .control import CONTROL
from .crowd import CROWD
from .embedded import EMBEDDED
from .growth import GROWTH
from .hour import HOUR
from .idle import IDLE
from .imports import IMPORT
from .latency import LATENCY
from .parked import PARKED
from .recovery import RECOVERY
from .refusals import REFUSALS
from .replay import REPLAY
from .sql import SQL
from .throughput import AGENT, COUNTER
from .where import WHERE

SCENARIOS = (
    COUNTER,
    AGENT,
    LATENCY,
    REFUSALS,
    CROWD,
    CHAIN,
    REPLAY,
    GROWTH,
    CONTROL,
    SQL,
    PARKED,
    RECOVERY,
    IDLE,
    COLLECT,
    IMPORT,
    EMBEDDED,
    WHERE,
    HOUR,
)
