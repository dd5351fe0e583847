"""An operator's verbs for many invocations at once, and whether the answer is what was done.

All that one batch says it has done is durable when the answer leaves, and every id that was named
is answered for once. Ids come twice, and some are of nobody.
"""

import json
from collections.abc import Awaitable, Callable
from random import Random
from typing import TYPE_CHECKING, Any, Final

from holdfast.journal import keys
from holdfast.objects.identity import InvocationId, format_invocation_id, parse_invocation_id

if TYPE_CHECKING:
    from .process import Process
    from .world import World

IDS_MAX: Final = 12
_PATH: Final = "/internal/invocations_batch_operations/"
_VERBS: Final = {
    "cancel": "cancel",
    "kill": "kill",
    "pause": "pause",
    "resume": "resume",
    "purge": "purge",
    "purge-journal": "purge journal",
    "restart-as-new": "restart",
}
"""By the word in the path, as the operator calls them."""

_OF_ENDED: Final = frozenset({"purge", "purge-journal", "restart-as-new"})
_NOBODY: Final = format_invocation_id(InvocationId(bytes(16)))

Hear = Callable[["Process", str, str, str, int], Awaitable[None]]
"""Told what was done: the process, the id, its tag, the verb, how often it had been resumed."""


class Batches:
    """The batches of one world."""

    def __init__(
        self,
        world: "World",
        random: Random,
        find_tag: Callable[["Process", bytes], str],
        hear: Hear,
    ) -> None:
        """Nothing was done yet."""
        self._world = world
        self._random = random
        self._find_tag = find_tag
        self._hear = hear

    async def act(self, process: "Process", is_helper: Callable[["Process", bytes], bool]) -> None:
        """Do something to a few at once."""
        random, ledger = self._random, self._world.ledger
        verb = random.choice([*_VERBS])
        is_of_ended = verb in _OF_ENDED and random.random() < 0.9
        table = keys.OUTCOME if is_of_ended else keys.INVOCATION
        found = [key[1:17] for key, _ in process.disk.scan(*keys.prefix_range(table))]
        found = [raw for raw in found if not is_helper(process, raw)]
        if not found:
            return
        chosen = random.sample(found, min(len(found), random.randrange(1, IDS_MAX)))
        tags = {
            format_invocation_id(InvocationId(raw)): self._find_tag(process, raw) for raw in chosen
        }
        resumed: dict[str, int] = {}
        for id_, tag in tags.items():
            self._announce(verb, id_, tag)
            resumed[id_] = ledger.resumed[id_]
        ids = [*tags]
        if random.random() < 0.2:
            ids.insert(random.randrange(len(ids) + 1), random.choice([*ids, _NOBODY]))
        said = await self._ask(process, verb, ids)
        if said is None:
            return
        done = self._check(process, verb, ids, said)
        for id_ in dict.fromkeys(each for each in done if each in tags):
            await self._hear(process, id_, tags[id_], _VERBS[verb], resumed[id_])

    def _announce(self, verb: str, id_: str, tag: str) -> None:
        ledger = self._world.ledger
        if verb in {"cancel", "kill", "purge", "restart-as-new"}:
            ledger.touch(id_, tag, is_repeated=verb in {"purge", "restart-as-new"})
        if verb == "kill":
            ledger.kills.add(tag)
        if verb == "resume":
            ledger.resume(id_)

    async def _ask(
        self, process: "Process", verb: str, ids: list[str]
    ) -> dict[str, list[Any]] | None:
        body = json.dumps({"invocation_ids": ids}).encode()
        headers = {"content-type": "application/json"}
        headers |= process.authorize(None, is_operator=True)
        response = await process.respond_to_operator("POST", _PATH + verb, headers, body)
        ledger = self._world.ledger
        ledger.tell(f"operator: {verb} of {len(ids)} is answered {response.status}")
        if response.status != 200:
            if response.status != 503:
                ledger.violate(f"I21 {verb} of {len(ids)} is answered {response.status}")
            return None
        ledger.count("a batch of verbs was answered")
        said: dict[str, list[Any]] = json.loads(response.body)
        return said

    def _check(
        self, process: "Process", verb: str, ids: list[str], said: dict[str, list[Any]]
    ) -> list[str]:
        """Those that it is said to be done to, once what is said was looked at."""
        ledger, disk = self._world.ledger, process.disk
        done = [
            each if isinstance(each, str) else each["old_invocation_id"]
            for each in said["succeeded"]
        ]
        failed = [each["invocation_id"] for each in said["failed"]]
        if sorted(done + failed) != sorted(ids):
            ledger.violate(f"I2 {verb} of {ids} is answered for {done} and {failed}")
        if _NOBODY in done:
            ledger.violate(f"I11 {verb} of nobody was done")
        if len(done) > 1:
            ledger.count("a batch did something to several")
        for each in said["succeeded"]:
            if not isinstance(each, str):
                new_id: str = each["new_invocation_id"]
                if not disk.is_acceptance_durable(parse_invocation_id(new_id)):
                    ledger.violate(f"I12 the restart of {each} is told before it is durable")
            elif verb == "kill" and not disk.is_completion_durable(parse_invocation_id(each)):
                ledger.violate(f"I12 {each} is said to be killed before that is durable")
        return done
