"""Who holds the turn and who is next, whatever comes and goes, in memory and in rows alike."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from holdfast.journal.memory import MemoryStore
from holdfast.journal.records import CallMode
from holdfast.objects.identity import InvocationId
from holdfast.runtime.commits import Commits
from holdfast.runtime.mailboxes import Mailboxes
from holdfast.runtime.slow_syncs import SlowSyncs
from holdfast.runtime.testing import InlineThreads, ManualClock

from .agreement import assert_copies_agree

OBJECTS = (b"a", b"b")
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(OBJECTS),
        st.one_of(
            st.sampled_from(CallMode),
            st.integers(0, 9),  # which of those who are in it leaves
            st.sampled_from(["forget", "write"]),
        ),
    ),
    max_size=60,
)


def make_commits() -> Commits:
    return Commits(
        MemoryStore(),
        InlineThreads(),
        sync_inline=True,
        slow_syncs=SlowSyncs(ManualClock()),
        request_turn=lambda: None,
        fail=lambda _: None,
    )


class Model:
    """The same in the plainest words: a list of those who wait, and a rule for who is next."""

    def __init__(self) -> None:
        self.holder: InvocationId | None = None
        self.waiting: list[tuple[InvocationId, CallMode]] = []

    def arrive(self, id_: InvocationId, mode: CallMode) -> bool:
        if self.holder is None:
            self.holder = id_
            return True
        self.waiting.append((id_, mode))
        return False

    def leave(self, id_: InvocationId) -> InvocationId | None:
        if self.holder != id_:
            self.waiting = [each for each in self.waiting if each[0] != id_]
            return None
        self.waiting.sort(key=lambda each: each[1] is not CallMode.INTERRUPT)
        self.holder = self.waiting.pop(0)[0] if self.waiting else None
        return self.holder

    def messages(self) -> list[InvocationId]:
        return [id_ for id_, mode in self.waiting if mode is CallMode.STEER]


@given(ACTIONS)
def test_the_next_one_is_the_one_whose_turn_it_is_and_the_rows_always_say_so(
    actions: list[tuple[bytes, Any]],
) -> None:
    commits = make_commits()
    mailboxes = Mailboxes(commits)
    models = {object_: Model() for object_ in OBJECTS}
    for sequence, (object_, action) in enumerate(actions, 1):
        model = models[object_]
        inside = [model.holder, *(id_ for id_, _ in model.waiting)]
        match action:
            case CallMode():
                id_ = InvocationId(sequence.to_bytes(16, "big"))
                assert mailboxes.arrive(object_, sequence, id_, action) == model.arrive(id_, action)
            case int() if action < len(inside) and inside[action] is not None:
                leaver: Any = inside[action]
                assert mailboxes.leave(object_, leaver) == model.leave(leaver)
            case "forget":
                mailboxes.forget(object_)
            case "write":
                commits.write()
            case _:
                pass
        assert_copies_agree(mailboxes, commits)
        assert mailboxes.find_holder(object_) == model.holder
        assert mailboxes.waiting_count(object_) == len(model.waiting)
        found = mailboxes.messages_after(object_, 0)
        assert [id_ for _, id_ in found] == model.messages()
        assert mailboxes.messages_after(object_, found[0][0] if found else 0) == found[1:]
