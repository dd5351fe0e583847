"""Links that handlers have made, and keys that an operator signs them with.

A link is given to the outside when it is asked for. From then on it is good until somebody revokes
the keys: it is refused to nobody before that, and to everybody afterwards. A handler makes its
links as of the moment that it has come to, so one that began before a revocation may make a link
that is revoked already.
"""

from collections.abc import Callable

from holdfast.objects.identity import accepted_ms, parse_invocation_id

FOLLOWING_MS = 5
"""A key counts from the millisecond after the one before it, so a few may count a little later."""


class Links:
    """The links of a world."""

    def __init__(self, violate: Callable[[str], None], count: Callable[[str], None]) -> None:
        """Begin with none."""
        self._violate = violate
        self._count = count
        self._asked_us: dict[str, int] = {}
        # When somebody was about to revoke all keys; and when that began and was known to be done.
        self._revoking_ms: list[int] = []
        self._revoked_us: list[tuple[int, int]] = []

    def ask(self, link: str, now_us: int) -> None:
        """A link is given to the outside."""
        self._asked_us.setdefault(link, now_us)

    def revoke(self, now_ms: int) -> None:
        """Somebody is about to revoke all keys."""
        self._revoking_ms.append(now_ms)

    def revoked(self, began_us: int, now_us: int) -> None:
        """What was begun then is done."""
        self._count("the keys of links were revoked")
        self._revoked_us.append((began_us, now_us))

    def may_be_revoked(self, id_: str) -> bool:
        """Whether a link that this invocation has made may be revoked."""
        made_ms = accepted_ms(parse_invocation_id(id_))
        return any(now_ms + FOLLOWING_MS >= made_ms for now_ms in self._revoking_ms)

    def answer(self, link: str, id_: str, status: int, sent_us: int, *, is_sure: bool) -> None:
        """A link, sent then, is answered; ``is_sure``: whether it is known when it was made."""
        asked_us = self._asked_us[link]
        is_revoked = any(
            asked_us < began_us and done_us < sent_us for began_us, done_us in self._revoked_us
        )
        if status == 403:
            self._count("a link was refused")
            if is_sure and not self.may_be_revoked(id_):
                self._violate(f"I18 {link} is refused, and nobody has revoked it")
        elif is_revoked and status in {200, 202, 409}:
            self._violate(f"I18 {link} is answered {status}, and was revoked before")
