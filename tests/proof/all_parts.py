"""All parts of the proof, in the order in which they run and are reported."""

from tests.backup import proof as backup
from tests.corruption import proof as corruption
from tests.door import proof as door
from tests.histories import proof as histories
from tests.planted import proof as planted
from tests.power import proof as power
from tests.programs import proof as programs
from tests.proof.parts import Part
from tests.replay import proof as replay
from tests.shim import proof as shim
from tests.sim import proof as sim

PARTS: tuple[Part, ...] = (
    sim.PART,
    histories.PART,
    planted.PART,
    power.PART,
    shim.PART,
    corruption.PART,
    programs.PART,
    replay.PART,
    backup.PART,
    door.PART,
)
