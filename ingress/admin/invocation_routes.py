"""The paths of one invocation: ``/invocations/{id}`` and a verb."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ..messages import Response
from .answers import empty_response, json_response
from .invocations import (
    BEGINNING,
    VERBS,
    VERBS_WITH_REASON,
    Done,
    Restart,
    describe,
    restart,
)
from .refusals import refuse_parameter
from .route import Asked, Described, QueryParameter, Route

_ENTRY_MAX: Final = 2**32 - 1


class Restarted(msgspec.Struct):
    """The invocation that a restart has made."""

    new_invocation_id: str


_DEPLOYMENT: Final = QueryParameter(
    "deployment",
    "There is one deployment, this process, so either word means the same.",
    {"type": "string", "enum": ["latest", "keep"]},
)
_FROM: Final = QueryParameter(
    "from",
    "The last entry of the journal that the new invocation begins with; 0 begins anew.",
    {"type": "integer", "minimum": 0, "maximum": _ENTRY_MAX},
)
_FORK: Final = QueryParameter(
    "fork",
    "With `from`, the key of a new object that is given the state of that moment. Not Restate's.",
    {"type": "string", "minLength": 1},
)
_MODE: Final = QueryParameter(
    "mode",
    "What is meant; `cancel` where nothing is said.",
    {"type": "string", "enum": ["cancel", "kill", "purge", "Cancel", "Kill", "Purge"]},
)
_REASON: Final = QueryParameter(
    "reason", "Why; whoever awaits the outcome is told. Not Restate's.", {"type": "string"}
)
_QUERIES: Final = {"cancel": (_REASON,), "kill": (_REASON,), "resume": (_DEPLOYMENT,)}
_FROM_ENTRY: Final = QueryParameter(
    "from_entry",
    "The first entry that the new invocation does not begin with; `from` is the last one that it "
    "does. Not Restate's.",
    {"type": "integer", "minimum": 1, "maximum": _ENTRY_MAX},
)
_NONE: Final = Described("There is no such invocation, or it was kept long enough.")
_OVER: Final = Described("It is over.")


def _verb(verb: str, summary: str, answers: dict[int, Described], description: str = "") -> Route:
    do = VERBS[verb]

    async def answer(asked: Asked, _: Any) -> Response:
        _check_deployment(asked)
        id_ = asked.names["invocation_id"]
        reason = asked.query.get("reason")
        if reason is None:
            return _response_of(await do(asked.engine, id_))
        return _response_of(await VERBS_WITH_REASON[verb](asked.engine, id_, reason))

    return Route(
        method="PATCH",
        path=f"/invocations/{{invocation_id}}/{verb}",
        operation=f"{verb.replace('-', '_')}_invocation".replace("journal_invocation", "journal"),
        tag="invocation",
        summary=summary,
        description=description,
        answer=answer,
        query=_QUERIES.get(verb, ()),
        answers={**answers, 404: _NONE},
    )


async def _answer_restart(asked: Asked, _: Any) -> Response:
    _check_deployment(asked)
    done = await restart(asked.engine, asked.names["invocation_id"], _read_restart(asked.query))
    return _response_of(done)


async def _answer_delete(asked: Asked, _: Any) -> Response:
    mode = asked.query.get("mode", "cancel").lower()
    if mode not in {"cancel", "kill", "purge"}:
        refuse_parameter("mode", f"{mode!r:.80} is none of cancel, kill and purge")
    await VERBS[mode](asked.engine, asked.names["invocation_id"])
    return empty_response(202)


async def _answer_describe(asked: Asked, _: Any) -> Response:
    return json_response(200, await describe(asked.engine, asked.names["invocation_id"]))


def _response_of(done: Done) -> Response:
    if done.new_invocation_id is not None:
        return json_response(done.status, Restarted(done.new_invocation_id))
    return empty_response(done.status, {} if done.is_new else {"x-holdfast-unchanged": "1"})


def _check_deployment(asked: Asked) -> None:
    deployment = asked.query.get("deployment", "latest")
    if deployment not in {"latest", "keep"}:
        there_is = "there is one deployment, this process: latest or keep"
        refuse_parameter("deployment", there_is)


def _read_restart(query: Mapping[str, str]) -> Restart:
    fork = query.get("fork")
    if "from_entry" in query:
        if "from" in query:
            refuse_parameter("from_entry", "it says what from says as well; leave one out")
        return Restart(from_entry=_read_entry("from_entry", query), fork=fork)
    if "from" not in query and fork is None:
        return BEGINNING
    entry = _read_entry("from", query)
    if entry == 0:
        if fork is not None:
            refuse_parameter("fork", "a call that begins anew begins at its own key")
        return BEGINNING
    return Restart(from_entry=entry + 1, fork=fork)


def _read_entry(name: str, query: Mapping[str, str]) -> int:
    text = query.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _ENTRY_MAX):
        refuse_parameter(name, f"{text!r:.80} is no number of an entry")
    return int(text)


ROUTES: Final = (
    Route(
        method="GET",
        path="/invocations/{invocation_id}",
        operation="describe_invocation",
        tag="invocation",
        summary="What is known of an invocation",
        description="Not Restate's, where this is a query.",
        answer=_answer_describe,
        answers={200: Described("What is known of it now.", dict[str, Any]), 404: _NONE},
    ),
    Route(
        method="DELETE",
        path="/invocations/{invocation_id}",
        operation="delete_invocation",
        tag="invocation",
        summary="Cancel, kill or purge an invocation",
        description="As the verbs below, which say more.",
        answer=_answer_delete,
        query=(_MODE,),
        answers={
            202: Described("Done, or told."),
            404: _NONE,
            409: Described("It is over, or, for `purge`, not yet."),
        },
    ),
    _verb(
        "cancel",
        "Tell an invocation to end",
        {
            200: Described("It had not begun, and is over."),
            202: Described("It was told, and may clean up first."),
            409: _OVER,
        },
    ),
    _verb(
        "kill",
        "End an invocation now, and all it waits for",
        {200: Described("It is over."), 409: _OVER},
    ),
    _verb(
        "pause",
        "Stop an invocation where it is",
        {
            200: Described("It was paused already."),
            202: Described("It is paused."),
            409: Described("It does not run."),
        },
    ),
    _verb(
        "resume",
        "Have an invocation go on",
        {
            200: Described("It goes on."),
            409: _OVER,
            425: Described("It has not begun."),
        },
    ),
    _verb(
        "purge",
        "Forget a completed invocation",
        {200: Described("It is forgotten."), 409: Described("It is not completed.")},
    ),
    _verb(
        "purge-journal",
        "Forget the journal of a completed invocation",
        {200: Described("It is forgotten."), 409: Described("It is not completed.")},
    ),
    Route(
        method="PATCH",
        path="/invocations/{invocation_id}/restart-as-new",
        operation="restart_as_new_invocation",
        tag="invocation",
        summary="Run a completed invocation once more, as a new one",
        description="Its steps are done again, but for those that `from` keeps.",
        answer=_answer_restart,
        query=(_FROM, _FROM_ENTRY, _FORK, _DEPLOYMENT),
        answers={
            200: Described("The new one is accepted.", Restarted),
            404: _NONE,
            409: Described("It is not completed, or its key is in use."),
            410: Described("Its input is not kept."),
            422: Described("It is the run of a workflow."),
            425: Described("It has not begun."),
            429: Described("Too many calls wait at its key."),
        },
        is_repeatable=False,
    ),
)
