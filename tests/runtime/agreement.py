"""Whether the mailboxes in memory say what their rows say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.runtime.mailboxes import Mailbox, Mailboxes

if TYPE_CHECKING:
    from holdfast.runtime.commits import Commits
    from holdfast.runtime.engine import Engine


def assert_agree(runtime: Engine) -> None:
    """Every mailbox in memory is the one that would be read from the rows."""
    parts = vars(runtime)
    assert_copies_agree(parts["_lifecycle"].mailboxes, parts["_commits"])


def assert_copies_agree(mailboxes: Mailboxes, commits: Commits) -> None:
    for object_, mailbox in opened(mailboxes).items():
        read = Mailboxes(commits)
        read.find_holder(object_)
        assert said_by(mailbox) == said_by(opened(read)[object_]), object_


def opened(mailboxes: Mailboxes) -> dict[bytes, Mailbox]:
    found: dict[bytes, Mailbox] = vars(mailboxes)["_open"]
    return found


def said_by(mailbox: Mailbox) -> Any:
    queues = (mailbox.lane, mailbox.waiting, mailbox.messages)
    return mailbox.holder, [list((queue or {}).items()) for queue in queues]
