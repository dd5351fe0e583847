"""What a handler says of the webhooks it takes: whose they are, and where their secret is.

The secret itself is never held here. It is read when a server begins to serve, so that a class can
be imported, checked and called from the same process without it, and no ``repr`` of a definition
can show it. How each provider signs is in ``webhooks``, which loads what that needs.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Final

from .errors import InvalidArgumentError, InvalidDefinitionError

SECRET_CHARACTERS_MIN: Final = 8
"""An empty secret would be known to everybody, and a very short one soon."""

DELIVERY_ID_BYTES_MAX: Final = 1024
"""As long as an idempotency key may be, which it becomes."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook that its provider has signed.

    Attributes:
        id: what the provider calls it; the same when it is sent again.
        argument: the event, as the JSON that the handler's parameter is made from.
    """

    id: str
    argument: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """Something else that the provider has signed, a test of the URL, and what to answer it."""

    body: bytes


@dataclass(frozen=True, slots=True)
class NotSigned:
    """Nobody who knows a secret has sent this just now.

    Attributes:
        reason: a clause that says why, without anything of the request.
    """

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A handler that takes webhooks of one provider, over HTTP only with a good signature.

    Attributes:
        secret_env: the environment variable that holds the secret. Several while one secret
            replaces another: each counts, and one that is not set is left out.
        secret: instead, a function that gives the secret or several. It is called when a server
            begins to serve.
    """

    secret_env: str | tuple[str, ...] = ()
    secret: Callable[[], str | Iterable[str]] | None = field(default=None, repr=False)

    recorded_headers: ClassVar[frozenset[str]] = frozenset()
    """What the handler sees, beside the usual, in ``ctx.headers``."""
    wants_empty_ok: ClassVar[bool] = False
    """Whether a send is to be answered with an empty 200, since the answer is shown to people."""

    def __post_init__(self) -> None:
        """Refuse what names no secret.

        Raises:
            InvalidDefinitionError: there is neither of the two or both, or the secret itself.
        """
        names = self._names()
        if self.secret is not None and not callable(self.secret):
            # It is not shown: it may well be the secret.
            message = (
                f"{self._kind()}: secret= takes a function that gives the secret, so that it does "
                f"not stand in the code; name an environment variable with secret_env="
            )
            raise InvalidDefinitionError(message)
        if bool(names) is (self.secret is not None):
            message = (
                f"{self._kind()}: say where the secret is: secret_env= names an environment "
                f"variable, or secret= is a function that gives it"
            )
            raise InvalidDefinitionError(message)

    def read_secrets(self, environment: Mapping[str, str]) -> tuple[bytes, ...]:
        """The secrets that count from now on.

        Raises:
            InvalidArgumentError: there is none, or one that cannot be. None is shown.
        """
        if self.secret is not None:
            given = self.secret()
            texts = [given] if isinstance(given, str) else list(given)
            place = "what secret= gives"
        else:
            names = self._names()
            texts = [environment[name] for name in names if environment.get(name)]
            place = " or ".join(names)
        if not texts:
            message = (
                f"{self._kind()}: there is no secret in {place}; set it to what the provider shows"
            )
            raise InvalidArgumentError(message)
        return tuple(self._read_secret(text, place) for text in texts)

    def receive(
        self, headers: Mapping[str, str], body: bytes, secrets: tuple[bytes, ...], now_s: float
    ) -> Delivery | Reply | NotSigned:
        """Tell what was sent, once it is certain who has sent it.

        Args:
            headers: finds names in lower case.
            body: as it was received, to the byte.
            secrets: what ``read_secrets`` gave.
            now_s: seconds since 1970.
        """
        raise NotImplementedError

    def _read_secret(self, text: object, place: str) -> bytes:
        secret = text.strip() if isinstance(text, str) else ""
        if len(secret) < SECRET_CHARACTERS_MIN:
            message = (
                f"{self._kind()}: the secret in {place} has fewer than {SECRET_CHARACTERS_MIN} "
                f"characters; set it to what the provider shows"
            )
            raise InvalidArgumentError(message)
        return self._decode_secret(secret, place)

    def _decode_secret(self, secret: str, place: str) -> bytes:
        del place
        return secret.encode()

    def _names(self) -> tuple[str, ...]:
        return (self.secret_env,) if isinstance(self.secret_env, str) else self.secret_env

    def _kind(self) -> str:
        return type(self).__name__


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedWebhook(Webhook):
    """A webhook whose signature holds the time.

    Attributes:
        tolerance: how far that may be from now, either way; what is older was caught and sent
            again by somebody else, or a clock is wrong.
    """

    tolerance: timedelta = timedelta(minutes=5)

    def __post_init__(self) -> None:
        """As ``Webhook``.

        Raises:
            InvalidDefinitionError: also where the tolerance lets nothing in.
        """
        # Not ``super()``: a class with slots is made twice, and the name means the first one.
        Webhook.__post_init__(self)
        if not self.tolerance > timedelta(0):
            message = f"{self._kind()}: tolerance is {self.tolerance}, and it must be above 0"
            raise InvalidDefinitionError(message)

    def _find_lateness(self, signed_at: str, now_s: float) -> NotSigned | None:
        """Why a signature of that time, in seconds since 1970, does not count any more."""
        if abs(now_s - int(signed_at)) <= self.tolerance.total_seconds():
            return None
        return NotSigned(
            f"it was signed more than {self.tolerance.total_seconds():g} seconds ago, or ahead of "
            f"the clock here"
        )
