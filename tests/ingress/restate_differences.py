"""Where Holdfast answers other than Restate, and why: the one list.

``docs/restate.md`` shows it; a test compares the two, and both with what is really answered.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

JSON: Final = {"content-type": "application/json"}


@dataclass(frozen=True)
class Difference:
    """What is answered instead of what Restate answered, as in ``restate_answers.json``."""

    reason: str
    answer: dict[str, Any]


def _refused(status: int, message: str, **headers: str) -> dict[str, Any]:
    """The answer of the callers' door to what it turns away; the message begins so."""
    body = {"code": status, "message": message, "source": "ingress"}
    return _answered(status, body, **{"x-restate-error-source": "ingress"}, **headers)


def _failed(status: int, body: dict[str, Any]) -> dict[str, Any]:
    """The outcome of an invocation that failed."""
    headers = {"x-restate-error-source": "invocation", "x-restate-id": "<invocation id>"}
    return _answered(status, {"code": status, **body, "source": "invocation"}, **headers)


def _operated(status: int, message: str) -> dict[str, Any]:
    """The answer of the operators' door to what it turns away."""
    return _answered(status, {"message": message, "restate_code": None})


def _answered(status: int, body: Any, **headers: str) -> dict[str, Any]:
    return {"status": status, "headers": {**JSON, **headers}, "body": json.dumps(body)}


_RETRIED: Final = {
    "initial_interval": "500ms",
    "exponentiation_factor": 2.0,
    "max_attempts": 70,
    "max_interval": "1m",
    "on_max_attempts": "Pause",
}

ALSO_SENT: Final[dict[str, str]] = {
    "x-holdfast-error": "Holdfast's own code of an error, which has a page",
    "x-holdfast-error-type": "the class of the exception that a handler failed with",
    "x-holdfast-unchanged": "it was so already, and nothing was changed",
    "allow": "with a 405: the methods that there are",
    "access-control-expose-headers": "a page may read the headers above",
    "access-control-max-age": "a browser need not ask again for so long",
}
"""Headers that Restate does not send."""

NOT_SENT: Final[dict[tuple[str, str], str]] = {
    ("vary", "accept-encoding"): "answers of the admin API are not compressed",
}
"""Headers that Restate sends and Holdfast does not."""

DIFFERENCES: Final[dict[int, Difference]] = {
    7: Difference(
        "An unknown query parameter is refused with 400: whoever misspells `delay` must not have "
        "the call run at once. Of the headers a handler sees, and the journal keeps, only those on "
        "a list, never `authorization` or `cookie`; there is no `x-restate-ingress-path`, because "
        "a query may hold secrets.",
        _refused(400, "unknown query parameter 'a'; there are 'delay', for sends, and 'mode'"),
    ),
    11: Difference(
        "The health also says in one word how the runtime is, and answers 503 when new work is not "
        "welcome. Private classes are not listed.",
        _answered(
            200,
            {
                "services": [
                    *("BlockAndWaitWorkflow", "ConfApproval", "ConfDoomed", "ConfErrors"),
                    *("ConfRetention", "ConfSteps", "Counter", "Proxy", "TestUtilsService"),
                ],
                "status": "ok",
            },
        ),
    ),
    15: Difference(
        "A terminal error is never a success: one whose code is no error's status is a 500. Its "
        "code stays in the body.",
        _failed(500, {"code": 200, "message": "odd"}),
    ),
    16: Difference(
        "The message is the exception's, its class is in `x-holdfast-error-type`, and no traceback "
        "of the server's leaves it; the log has that.",
        _failed(500, {"message": "never works"}),
    ),
    17: Difference(
        "A body that does not fit is refused before anything is journaled: a 400 of the ingress "
        "that names the place, and no failed invocation.",
        _refused(400, "TestUtilsService/echo: the body is to be the parameter 'value', and "),
    ),
    19: Difference(
        "The message lists the handlers that there are, and what comes near.",
        _refused(
            404,
            "the service 'Counter' exists, but the handler 'nope' was not found; its handlers are "
            "add, addThenFail, get",
        ),
    ),
    20: Difference(
        "The message says which shape fits the class that is named.",
        _refused(400, "bad path: Counter is an object, so its key stands between its name and"),
    ),
    21: Difference(
        "The message says which shape fits the class that is named.",
        _refused(400, "bad path: Counter is an object, so its key stands between its name and"),
    ),
    27: Difference(
        "The message names the handler.",
        _refused(
            400,
            "input validation error: Expected body and content-type to be empty: get takes no "
            "input",
        ),
    ),
    28: Difference(
        "The message shows the segment as it was sent, and not the insides of the server.",
        _refused(400, "bad path, cannot decode '%FF': it is not UTF-8"),
    ),
    29: Difference(
        "This refusal too is JSON with a source, and it comes before the body is sent.",
        _refused(413, "the body is longer than 33554432 bytes; pass large data by reference"),
    ),
    31: Difference(
        "There are no scopes.",
        _refused(404, "not found"),
    ),
    39: Difference(
        "The message says what a duration looks like.",
        _refused(400, "bad delay query parameter, 'soon' is no duration: write 10s, 1h30m or"),
    ),
    45: Difference(
        "Ids are not computed from names: a lookup finds an invocation that exists, and what names "
        "nothing is 404.",
        _refused(404, "service 'NoSuchWorkflow' not found"),
    ),
    47: Difference(
        "What does not exist has no outcome, so this is a refusal like that of `output`: its "
        "source is `ingress`.",
        _refused(404, "invocation not found: inv_"),
    ),
    48: Difference(
        "The message says what an id looks like.",
        _refused(400, "bad invocation id 'inv_bogus': expected an invocation id (inv_ and 32 hex"),
    ),
    50: Difference(
        "A malformed target is the caller's mistake: 400, and no stack of the server's.",
        _refused(400, "invalid lookup body: Invalid value 'bad' - at `$.target`"),
    ),
    53: Difference(
        "A second start is refused before anything runs, so its source is `ingress`; the message "
        "names the first one, whose id is in `x-restate-id` here as well.",
        _refused(
            409,
            "ConfApproval/w was already started, by inv_",
            **{"x-restate-id": "<invocation id>"},
        ),
    ),
    57: Difference(
        "The message names the promise.",
        _failed(409, {"message": "the promise 'decision' of ConfApproval/w was completed before"}),
    ),
    59: Difference(
        "As for an id that names nothing (47).",
        _refused(404, "invocation not found: ConfApproval/never was not started"),
    ),
    64: Difference(
        "The message says what an id looks like.",
        _refused(400, "bad awakeable id 'bogus': expected an awakeable id"),
    ),
    67: Difference(
        "The message names the invocation and, where one was given, the reason.",
        _failed(409, {"message": "ConfSteps/k/run (<invocation id>) was canceled"}),
    ),
    70: Difference(
        "The message is that of every cancellation.",
        _failed(409, {"message": "ConfSteps/k/run (<invocation id>) was canceled"}),
    ),
    77: Difference(
        "The message names the invocation and, where one was given, the reason.",
        {
            **_failed(409, {"message": "ConfSteps/k/run (<invocation id>) was killed"}),
            "headers": {
                **JSON,
                "x-restate-error-source": "invocation",
                "x-restate-id": "<invocation id>",
                "idempotency-expires": "<time>",
            },
        },
    ),
    85: Difference(
        "The message says what an id looks like.",
        _operated(
            400,
            "The request field 'invocation_id' is invalid. Reason: expected an invocation id (inv_ "
            "and 32 hex digits), but found 'inv_bogus'",
        ),
    ),
    86: Difference(
        "An edit is an invocation, which waits for its turn at the key: its id is in the answer.",
        {"status": 202, "headers": {"x-restate-id": "<invocation id>"}},
    ),
    88: Difference(
        "A class has no deployment and no revision, and no timeouts of a connection to it. Each "
        "handler says its whole retry policy, and a longest interval is a minute unless said.",
        _answered(
            200,
            {
                "name": "ConfRetention",
                "ty": "VirtualObject",
                "handlers": [
                    {
                        "name": "add",
                        "ty": "Exclusive",
                        "public": True,
                        "input_description": "JSON integer",
                        "output_description": "JSON integer",
                        "input_json_schema": {"type": "integer"},
                        "output_json_schema": {"type": "integer"},
                        "retry_policy": {**_RETRIED, "max_attempts": None},
                    }
                ],
                "public": True,
                "idempotency_retention": "1s",
                "journal_retention": "1d",
                "inactivity_timeout": "1m",
                "retry_policy": _RETRIED,
            },
        ),
    ),
    90: Difference(
        "Nothing is deployed: the classes are in the same process.",
        _operated(404, "not found: /deployments"),
    ),
    92: Difference(
        "The columns that mean the same have Restate's names; what a deployment, a protocol or a "
        "partition says is not there, and what only Holdfast knows is. A call without steps keeps "
        "no journal.",
        _answered(
            200,
            {
                "rows": [
                    {
                        "id": "<invocation id>",
                        "target": "Counter/k/add",
                        "target_service_name": "Counter",
                        "target_service_key": "k",
                        "target_handler_name": "add",
                        "target_service_ty": "virtual_object",
                        "idempotency_key": "i",
                        "status": "completed",
                        "is_canceled": False,
                        "journal_size": 0,
                        "created_at": "<time>",
                        "completed_at": "<time>",
                        "kept_until": "<time>",
                        "completion_result": "success",
                    }
                ]
            },
        ),
    ),
    93: Difference(
        "A journal's entries are Holdfast's own, and `version` is that of their format; reading "
        "and writing state makes none.",
        _answered(200, {"rows": []}),
    ),
    94: Difference(
        "Rows are JSON whatever is accepted: Arrow would be a dependency for one format.",
        _answered(200, {"rows": [{"a": 1}]}),
    ),
    95: Difference(
        "The SQL is SQLite's, and so are the words of its errors.",
        _operated(400, 'SQL error: near "SELEC": syntax error'),
    ),
    96: Difference(
        "A table that does not exist is the asker's mistake: 400, with the tables that there are.",
        _operated(400, "SQL error: no such table: nope; there are sys_invocation, sys_journal"),
    ),
    97: Difference(
        "The version is Holdfast's, and it has no features that are switched on.",
        _answered(
            200,
            {
                "version": "1.2.3",
                "min_admin_api_version": 2,
                "max_admin_api_version": 4,
                "ingress_endpoint": "http://127.0.0.1:<port>/",
                "features": {},
            },
        ),
    ),
}


def render(titles: Mapping[int, str]) -> tuple[str, ...]:
    """The list in the parts that the page for users of Restate shows, with text between them.

    ``titles`` are those of the requests.
    """
    rows = [
        f"| {number} | {titles[number]} | {difference.reason} |"
        for number, difference in DIFFERENCES.items()
    ]
    more = [f"* `{name}`: {meaning}." for name, meaning in ALSO_SENT.items()]
    less = [f"* `{name}: {value}`: {reason}." for (name, value), reason in NOT_SENT.items()]
    return (
        "\n".join(["| | Request | Here |", "|---|---|---|", *rows, "", ""]),
        "\n".join(["Headers that are sent beside Restate's:", "", *more, "", ""]),
        "\n".join(["Headers that are not sent:", "", *less, "", ""]),
    )
