"""The one table of statuses."""

import pytest

from holdfast.ingress.problems import PROBLEMS, Refusal, Retry, response_of_error
from holdfast.objects import errors

# What stops a start, ends in an outcome, or pauses an invocation never reaches a caller by itself.
INTERNAL = {
    "HoldfastError",
    "TerminalError",
    "InvalidDefinitionError",
    "RetryableError",
    "JournalMismatchError",
    "ForbiddenInHandlerError",
    "ContextMisuseError",
    "HandlerStuckError",
    "StoreLockedError",
    "StoreFormatError",
    "StoreDamagedError",
    # What a client says of a server, and no server says itself.
    "NotReachedError",
    "AnswerLostError",
    "AccessDeniedError",
}


def direct_errors() -> list[type[errors.HoldfastError]]:
    return [
        value
        for value in vars(errors).values()
        if isinstance(value, type)
        and issubclass(value, errors.HoldfastError)
        and not issubclass(value, errors.TerminalError)
    ]


@pytest.mark.parametrize("cls", direct_errors(), ids=lambda cls: cls.__name__)
def test_every_error_has_a_row_or_never_gets_here(cls: type[errors.HoldfastError]) -> None:
    assert (cls in PROBLEMS) != (cls.__name__ in INTERNAL)


@pytest.mark.parametrize("refusal", Refusal)
def test_every_refusal_has_a_row(refusal: Refusal) -> None:
    assert refusal in PROBLEMS


def test_a_subclass_has_the_row_of_its_base() -> None:
    class OddKeyError(errors.InvalidArgumentError):
        pass

    response = response_of_error(OddKeyError("odd"), is_keyed=False, was_submitted=False)
    assert response.status == 400


@pytest.mark.parametrize("problem", PROBLEMS.values())
def test_only_a_problem_that_passes_says_when_to_come_back(problem: object) -> None:
    row = next(each for each in PROBLEMS.values() if each is problem)
    assert not (row.retry is Retry.USELESS and row.retry_after_s)
    assert 400 <= row.status <= 599
