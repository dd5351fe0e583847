"""What ``from holdfast import ...`` gives: pinned, so that a change of it is a decision."""

import holdfast

PUBLIC = """
AnyClient AwaitedInfo Awakeable AwakeableInfo AwakeablePage BackupInfo Client Completed
CompletedFailure Context EffectInfo EffectPage EntryInfo HandlerOptions Happened Inbox Intent
InvocationHandle InvocationInfo JournalPage ManualClock MemoryStore Mismatch MismatchCause
NeverHappened NotCompensated Origin Promise
RetryPolicy Runtime RuntimeConfig Saga Service StateSnapshot StepInfo StepOptions SyncClient Target
VirtualObject Workflow handler shared state step_info

GitHub Slack StandardWebhooks Stripe

AccessDeniedError AnswerLostError
AwakeableExpiredError CanceledError ConflictError ContextMisuseError DeadlockError
ForbiddenInHandlerError HandlerStuckError HoldfastError InvalidArgumentError InvalidDefinitionError
JournalMismatchError MailboxFullError NotKeptError NotReachedError NotReadyError OutcomeUnknownError
RetryableError RuntimeClosedError StepFailedError StoreDamagedError StoreFailedError
StoreFormatError StoreFullError StoreLockedError TerminalError UnknownTargetError

__version__
"""


def test_these_names_are_public_and_no_others() -> None:
    assert sorted(holdfast.__all__) == sorted(PUBLIC.split())


def test_every_public_name_is_there_and_has_a_docstring() -> None:
    for name in set(holdfast.__all__) - {"__version__"}:
        assert getattr(holdfast, name).__doc__, name


def test_dir_shows_what_is_loaded_at_first_use_too() -> None:
    assert set(holdfast.__all__) <= set(dir(holdfast))


def test_every_error_is_public_and_derives_from_one_class() -> None:
    for name in holdfast.__all__:
        if name.endswith("Error"):
            assert issubclass(getattr(holdfast, name), holdfast.HoldfastError)


def test_an_unknown_name_fails_like_in_any_module() -> None:
    assert not hasattr(holdfast, "Actor")
