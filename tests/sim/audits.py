"""What an operator asks with SQL while work goes on, and whether the answer is of one moment.

It is judged when it leaves the process: all of it must be durable then, and what was known outside
when it was asked for must be in it.
"""

import json
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, Final

from holdfast.ingress.messages import Response
from holdfast.objects.identity import parse_invocation_id

from .network import Ask

if TYPE_CHECKING:
    from .world import World

Row = dict[str, Any]

_INVOCATIONS: Final = (
    "SELECT id, status, target_service_name AS service, target_service_key AS key,"
    " target_handler_name AS handler FROM sys_invocation"
)
_WAITING_HOLDERS: Final = (
    "SELECT s.invocation_id AS id FROM sys_keyed_service_status AS s"
    " JOIN sys_inbox AS q ON q.id = s.invocation_id"
)
_STEPS: Final = (
    "SELECT s.id AS id, s.name AS name, s.status AS status, i.restarted_from AS old"
    " FROM sys_step AS s JOIN sys_invocation AS i ON i.id = s.id"
)
_STEPS_OF_NOBODY: Final = (
    "SELECT s.id AS id FROM sys_step AS s LEFT JOIN sys_invocation AS i ON i.id = s.id"
    " WHERE i.id IS NULL"
)
_HOLDING: Final = frozenset({"running", "suspended", "backing-off", "paused"})
_EXCLUSIVE: Final = frozenset({"run", "holdfast.edit_state"})


class Audits:
    """The questions of one world."""

    def __init__(self, world: "World", random: Random) -> None:
        """Nothing is asked yet."""
        self.world = world
        self._random = random
        self._questions: tuple[tuple[str, Callable[[list[Row], int], None]], ...] = (
            (
                _INVOCATIONS,
                self._look_at_invocations,
            ),
            (
                "SELECT service_key, key, value_utf8 FROM state WHERE service_name = 'Cell'",
                self._look_at_states,
            ),
            (
                _WAITING_HOLDERS,
                self._look_at_nobody,
            ),
            (
                _STEPS_OF_NOBODY,
                self._look_at_nobody,
            ),
            (_STEPS, self._look_at_steps),
        )

    def draw(self) -> Ask:
        """A question."""
        text, look = self._random.choice(self._questions)

        def leave(response: Response, asked_us: int) -> None:
            if response.status != 200:
                self.world.ledger.tell(f"a query is answered {response.status}")
                return
            rows: list[Row] = json.loads(response.body)["rows"]
            self.world.ledger.count("a query was answered")
            self.world.ledger.tell(f"{len(rows)} rows of {text:.40}")
            look(rows, asked_us)

        return Ask("POST", "/query", {"query": text}, leave=leave)

    def _look_at_nobody(self, rows: list[Row], asked_us: int) -> None:
        del asked_us
        if rows:
            self.world.ledger.violate(f"I11 a query shows what never was: {rows[:3]}")

    def _look_at_invocations(self, rows: list[Row], asked_us: int) -> None:
        ledger, disk = self.world.ledger, self.world.process.disk
        statuses: dict[str, str] = {row["id"]: row["status"] for row in rows}
        for id_, status in statuses.items():
            raw = parse_invocation_id(id_)
            if not disk.is_acceptance_durable(raw):
                ledger.violate(f"I12 a query shows {id_} before it is durable")
            if status == "completed" and not disk.is_completion_durable(raw):
                ledger.violate(f"I12 a query shows the end of {id_} before it is durable")
        for id_ in ledger.find_answered(asked_us):
            if statuses.get(id_, "completed") != "completed":
                ledger.violate(f"I2 a query shows {id_} as {statuses[id_]}, and it has ended")
        self._look_at_turns(rows)
        if ledger.is_wall_steady and not (ledger.is_forgetful or ledger.is_crowded):
            self._look_for_known(statuses, asked_us)

    def _look_at_turns(self, rows: list[Row]) -> None:
        holders: dict[str, str] = {}
        for row in rows:
            is_exclusive = row["service"] == "Cell" and row["handler"] in _EXCLUSIVE
            if is_exclusive and row["status"] in _HOLDING:
                other = holders.setdefault(row["key"], row["id"])
                if other != row["id"]:
                    what = f"{other} and {row['id']} at {row['key']}"
                    self.world.ledger.violate(f"I5 a query shows the turns of {what}")

    def _look_for_known(self, statuses: dict[str, str], asked_us: int) -> None:
        ledger = self.world.ledger
        for order in ledger.orders.values():
            is_known = order.id and order.acked_us < asked_us and order.kind != "Errand"
            if is_known and order.id not in statuses and not ledger.is_touched(order.tag):
                ledger.violate(f"I1 a query does not show {order.tag}, accepted as {order.id}")

    def _look_at_states(self, rows: list[Row], asked_us: int) -> None:
        ledger = self.world.ledger
        fields: dict[str, Row] = {}
        for row in rows:
            fields.setdefault(row["service_key"], {})[row["key"]] = json.loads(row["value_utf8"])
        for key, values in fields.items():
            log: list[str] = values.get("log", [])
            if len(log) != values.get("count", 0):
                ledger.violate(f"I19 a query shows {key} in the middle of a change: {values}")
            ledger.reads.setdefault(f"Cell/{key}", []).append((asked_us, log))

    def _look_at_steps(self, rows: list[Row], asked_us: int) -> None:
        ledger = self.world.ledger
        for row in rows:
            path = str(row.get("name", "")).removeprefix("step ")
            begun_us = ledger.find_begun(row["id"], path)
            if row["status"] == "not started" and begun_us is not None and begun_us < asked_us:
                ledger.violate(f"I3 a query shows step {path} of {row['id']} as not started")
            is_new = row.get("name") != path and "old" not in row
            if row["status"] == "done" and begun_us is None and is_new:
                ledger.violate(f"I3 a query shows step {path} of {row['id']}, which never ran")
