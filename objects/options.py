"""How one handler is run, as far as its author says.

What a handler leaves open its class decides, and what the class leaves open the runtime's config.
"""

from dataclasses import dataclass, fields
from datetime import timedelta

from .errors import InvalidDefinitionError
from .media import check_media_type
from .retry import RetryPolicy
from .webhook import Webhook

RETENTIONS = (
    "retention",
    "journal_retention",
    "idempotency_retention",
    "workflow_retention",
)
"""Options that say how long something is kept; a runtime's config has them too."""

RETENTION_MAX = timedelta(days=36_500)
"""Within what a row can say; whoever wants for ever takes this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerOptions:
    """How one handler is run. ``None`` means: as the class says, then as the runtime says.

    Attributes:
        retry: when an attempt that raised is tried again.
        idle_ms_max: an attempt that only waits for longer than this is suspended: dropped from
            memory and rebuilt by replay. 0 suspends at once.
        mailbox_invocations_max: calls that may wait at one key; the next one from outside is
            refused with ``MailboxFullError``.
        retention: how long a completed invocation is kept, from its completion.
        journal_retention: how long its journal and the past of its state are kept, as far as that
            is within the retention. ``timedelta(0)`` keeps none. Said nowhere: as ``retention``.
        idempotency_retention: how long its idempotency key counts; a longer time than the
            retention keeps the outcome for that long. Said nowhere: as ``retention``.
        workflow_retention: for a workflow, how long after its ``run`` it is kept: outcome, state,
            promises, and that its key was used. Said nowhere: as ``retention``.
        webhook: whose webhooks it takes: over HTTP it is called by what they have signed, and by
            nobody else.
        ingress_private: it is called by handlers and by the process it runs in, and not over HTTP.
        accept: for a handler: the content type of its body, ``"image/png"``, ``"image/*"``,
            ``"*/*"``. One that is not JSON is handed to its one parameter as ``bytes``, or as
            ``str`` where it is ``text/...``.
        content_type: for a handler: that of its answer; one that is not JSON is the ``bytes`` that
            it returns, or the ``str`` where it is ``text/...``.
    """

    retry: RetryPolicy | None = None
    idle_ms_max: int | None = None
    mailbox_invocations_max: int | None = None
    retention: timedelta | None = None
    journal_retention: timedelta | None = None
    idempotency_retention: timedelta | None = None
    workflow_retention: timedelta | None = None
    webhook: Webhook | None = None
    ingress_private: bool | None = None
    accept: str | None = None
    content_type: str | None = None

    def __post_init__(self) -> None:
        """Refuse options that could not be followed.

        Raises:
            InvalidDefinitionError: a value of another type, a negative time, an empty mailbox.
        """
        self._check("retry", RetryPolicy)
        self._check("idle_ms_max", int)
        self._check("mailbox_invocations_max", int)
        self._check("webhook", Webhook)
        if type(self.ingress_private) not in {bool, type(None)}:
            message = f"ingress_private is True or False, but this is {self.ingress_private!r:.80}"
            raise InvalidDefinitionError(message)
        for name in ("accept", "content_type"):
            object.__setattr__(self, name, check_media_type(name, getattr(self, name)))
        for name in RETENTIONS:
            self._check(name, timedelta)
            problem = find_retention_problem(name, getattr(self, name))
            if problem is not None:
                raise InvalidDefinitionError(problem)
        if self.idle_ms_max is not None and self.idle_ms_max < 0:
            message = f"idle_ms_max is {self.idle_ms_max}, and it must be 0 or more"
            raise InvalidDefinitionError(message)
        if self.mailbox_invocations_max is not None and self.mailbox_invocations_max < 1:
            message = (
                f"mailbox_invocations_max is {self.mailbox_invocations_max}, "
                f"and at least one call must be able to wait"
            )
            raise InvalidDefinitionError(message)

    def _check(self, name: str, expected: type) -> None:
        value = getattr(self, name)
        if value is not None and (not isinstance(value, expected) or isinstance(value, bool)):
            found = type(value).__name__
            message = f"{name} must be a {expected.__name__}, but is {found}: {value!r:.80}"
            raise InvalidDefinitionError(message)

    def merged(self, under: "HandlerOptions") -> "HandlerOptions":
        """These options, with what they leave open taken from ``under``."""
        return HandlerOptions(
            **{
                field.name: value
                if (value := getattr(self, field.name)) is not None
                else getattr(under, field.name)
                for field in fields(self)
            }
        )


def find_retention_problem(name: str, retention: timedelta | None) -> str | None:
    """Why nothing can be kept for that long, or ``None``."""
    if retention is None or timedelta(0) <= retention <= RETENTION_MAX:
        return None
    return f"{name} is {retention}, and it must be from 0 to {RETENTION_MAX.days:,} days"
