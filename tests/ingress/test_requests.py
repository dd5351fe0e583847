"""Requests and their answers, as values: no socket, no server."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from holdfast.ingress.callers import CallersDoor
from holdfast.ingress.messages import Head, Request, Response
from holdfast.ingress.options import DEFAULT_OPTIONS, HttpOptions
from holdfast.objects.errors import (
    ConflictError,
    DeadlockError,
    HoldfastError,
    InvalidArgumentError,
    MailboxFullError,
    RuntimeClosedError,
    StoreFailedError,
    StoreFullError,
    TerminalError,
)
from holdfast.objects.identity import AwakeableId, InvocationId, Origin, Target
from tests.ingress.fake_engine import AWAKEABLE, FakeEngine, error_of

JSON = {"content-type": "application/json"}
FIRST_ID = "inv_00000000000000000000000000000001"


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


async def ask(  # noqa: PLR0913, PLR0917 - the parts of a request
    engine: FakeEngine,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    options: HttpOptions = DEFAULT_OPTIONS,
) -> Response:
    if headers is None:
        headers = JSON if body else {}
    return await CallersDoor(engine, options).respond(Request(Head(method, path, headers), body))


# Answers


async def test_a_call_is_answered_with_its_result_and_its_id(engine: FakeEngine) -> None:
    response = await ask(engine, "POST", "/Counter/sam/add", b"5")

    assert response == Response(200, {"x-restate-id": FIRST_ID, **JSON}, b"5")
    (accepted,) = engine.accepted
    assert (str(accepted.target), accepted.argument) == ("Counter/sam/add", b"5")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_handler_without_input_is_called_by_get_and_post(
    engine: FakeEngine, method: str
) -> None:
    response = await ask(engine, method, "/Counter/sam/get")
    assert (response.status, response.body) == (200, b"5")


async def test_a_handler_that_returns_nothing_is_answered_without_a_body(
    engine: FakeEngine,
) -> None:
    response = await ask(engine, "POST", "/Counter/sam/reset")
    assert response == Response(200, {"x-restate-id": FIRST_ID}, b"")


async def test_a_content_type_without_a_body_does_not_hurt_a_handler_without_input(
    engine: FakeEngine,
) -> None:
    assert (await ask(engine, "POST", "/Counter/sam/get", b"", JSON)).status == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        'Application/JSON;charset="UTF-8"',
        "application/json ; q=1",
    ],
)
async def test_json_may_name_its_charset(engine: FakeEngine, content_type: str) -> None:
    headers = {"content-type": content_type}
    assert (await ask(engine, "POST", "/Counter/sam/add", b"5", headers)).status == 200


@pytest.mark.parametrize("headers", [{}, JSON])
async def test_a_body_may_be_left_out_where_the_one_parameter_has_a_default(
    engine: FakeEngine, headers: dict[str, str]
) -> None:
    assert (await ask(engine, "POST", "/Mailer/greet", b"", headers)).status == 200
    assert engine.accepted[0].argument == b""


async def test_a_send_is_accepted(engine: FakeEngine) -> None:
    response = await ask(engine, "POST", "/Counter/sam/add/send", b"5")

    assert response == Response(
        202,
        {"x-restate-id": FIRST_ID, **JSON},
        f'{{"invocationId":"{FIRST_ID}","status":"Accepted"}}'.encode(),
    )


async def test_a_delayed_send_says_when_it_will_run(engine: FakeEngine) -> None:
    response = await ask(engine, "POST", "/Counter/sam/add/send?delay=1h30m", b"5")

    assert json.loads(response.body) == {
        "invocationId": FIRST_ID,
        "executionTime": "2026-01-31T14:04:56.789000000Z",
        "status": "Accepted",
    }
    assert engine.accepted[0].delay_ms == 5_400_000


async def test_a_call_and_a_send_hand_on_their_mode(engine: FakeEngine) -> None:
    await ask(engine, "POST", "/Counter/sam/add?mode=interrupt", b"5")
    await ask(engine, "POST", "/Counter/sam/add/send?mode=steer&delay=1s", b"5")
    await ask(engine, "POST", "/Counter/sam/add", b"5")

    assert [each.mode for each in engine.accepted] == ["interrupt", "steer", "queue"]


async def test_a_repeated_send_says_so(engine: FakeEngine) -> None:
    headers = {**JSON, "idempotency-key": "k"}
    await ask(engine, "POST", "/Counter/sam/add", b"5", headers)

    response = await ask(engine, "POST", "/Counter/sam/add/send", b"5", headers)

    assert json.loads(response.body) == {"invocationId": FIRST_ID, "status": "PreviouslyAccepted"}
    assert "x-holdfast-idempotency" not in response.headers


async def test_a_duplicate_with_another_body_gets_the_first_result_and_is_told(
    engine: FakeEngine,
) -> None:
    headers = {**JSON, "idempotency-key": "k"}
    await ask(engine, "POST", "/Counter/sam/add", b"5", headers)

    response = await ask(engine, "POST", "/Counter/sam/add", b"6", headers)

    assert (response.status, response.body) == (200, b"5")
    assert response.headers["x-holdfast-idempotency"] == "other-body"
    assert len(engine.accepted) == 1


@pytest.mark.parametrize(
    ("health", "status"), [("ok", 200), ("failed", 503), ("stopping", 503), ("new", 503)]
)
async def test_health_is_a_status_and_the_services(
    engine: FakeEngine, health: str, status: int
) -> None:
    engine.health = health
    response = await ask(engine, "GET", "/restate/health")
    assert response.status == status
    assert json.loads(response.body) == {"services": ["Counter", "Mailer"], "status": health}


# Outcomes that are failures


async def test_a_terminal_error_is_answered_as_the_invocations_own(engine: FakeEngine) -> None:
    engine.outcome_of = lambda _: TerminalError("no way", status_code=409, metadata={"a": "b"})

    response = await ask(engine, "POST", "/Counter/sam/add", b"5")

    assert response == Response(
        409,
        {
            "x-restate-id": FIRST_ID,
            **JSON,
            "x-restate-error-source": "invocation",
            "x-holdfast-error": "HF0001",
        },
        b'{"code":409,"message":"no way","metadata":{"a":"b"},"source":"invocation"}',
    )


async def test_a_failure_that_came_from_elsewhere_says_from_where(engine: FakeEngine) -> None:
    elsewhere = Origin(Target("Bank", "joe", "pay"), "inv_" + "7" * 32)
    engine.outcome_of = lambda _: TerminalError("no way", status_code=402, origin=elsewhere)
    passed_on = await ask(engine, "POST", "/Counter/sam/add", b"5")
    engine = FakeEngine()
    here = Origin(Target("Counter", "sam", "add"), FIRST_ID)
    engine.outcome_of = lambda _: TerminalError("no way", status_code=402, origin=here)
    own = await ask(engine, "POST", "/Counter/sam/add", b"5")

    assert json.loads(passed_on.body) == {
        "code": 402,
        "message": "no way",
        "source": "invocation",
        "origin": {"target": "Bank/joe/pay", "invocationId": elsewhere.invocation_id},
    }
    assert json.loads(own.body) == {"code": 402, "message": "no way", "source": "invocation"}


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (400, 400),
        (422, 422),
        (599, 599),
        (399, 500),
        (600, 500),
        (200, 500),
        (1000, 500),
        (-1, 500),
    ],
)
async def test_a_code_that_is_no_error_status_becomes_500_and_stays_in_the_body(
    engine: FakeEngine, code: int, status: int
) -> None:
    engine.outcome_of = lambda _: TerminalError("odd", status_code=code)

    response = await ask(engine, "POST", "/Counter/sam/add", b"5")

    assert response.status == status
    assert response.body == b'{"code":%d,"message":"odd","source":"invocation"}' % code


async def test_a_subclass_of_terminal_error_is_an_outcome_too(engine: FakeEngine) -> None:
    engine.outcome_of = lambda _: DeadlockError("a waits for b waits for a")
    response = await ask(engine, "POST", "/Counter/sam/add", b"5")
    assert response.headers["x-restate-error-source"] == "invocation"


async def test_a_message_that_is_no_utf8_can_still_be_answered(engine: FakeEngine) -> None:
    engine.outcome_of = lambda _: TerminalError("half \ud83d of ü")
    response = await ask(engine, "POST", "/Counter/sam/add", b"5")
    assert error_of(response.body)["message"] == "half \ud83d of ü"


async def test_an_outcome_says_its_code(engine: FakeEngine) -> None:
    engine.outcome_of = lambda _: DeadlockError("a waits for b waits for a")
    response = await ask(engine, "POST", "/Counter/sam/add", b"5")
    assert response.headers["x-holdfast-error"] == "HF0004"


async def test_an_error_of_the_engine_says_its_code(engine: FakeEngine) -> None:
    engine.failure = MailboxFullError("full")
    response = await ask(engine, "POST", "/Counter/sam/add", b"5")
    assert response.headers["x-holdfast-error"] == "HF0013"


async def test_a_message_is_answered_as_it_is_read(engine: FakeEngine) -> None:
    engine.outcome_of = lambda _: TerminalError("für später …")
    response = await ask(engine, "POST", "/Counter/sam/add", b"5")
    assert "für später …".encode() in response.body


# Requests that are turned away


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A request, and how it is refused."""

    method: str = "POST"
    path: str = "/Counter/sam/add"
    body: bytes = b"5"
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    status: int
    says: str
    with_headers: Mapping[str, str] = field(default_factory=dict[str, str])


VALIDATION = "input validation error: "

REFUSED = {
    "unknown service": Refused(
        path="/NoSuch/handler",
        status=404,
        says="service 'NoSuch' not",
        with_headers={"x-holdfast-error": "HF0012"},
    ),
    "unknown handler": Refused(
        path="/Counter/sam/nope", status=404, says="the handler 'nope' was not found"
    ),
    "handler missing": Refused(
        path="/Counter/sam",
        status=400,
        says="bad path: Counter is an object",
    ),
    "path too short": Refused(path="/Counter", status=400, says="bad path: Counter is an object"),
    "misspelt delay": Refused(
        path="/Counter/sam/add/send?dealy=1h",
        status=400,
        says="unknown query parameter 'dealy'; did you mean 'delay'?",
        with_headers={"x-holdfast-error": "HF0011"},
    ),
    "parameter of a call": Refused(
        path="/Counter/sam/add?verbose=1", status=400, says="unknown query parameter 'verbose'"
    ),
    "unknown page": Refused(path="/restate/nope", status=404, says="not found"),
    "put": Refused(
        method="PUT", status=405, says="method not allowed", with_headers={"allow": "POST"}
    ),
    "get of a handler with input": Refused(
        method="GET", status=405, says="add takes POST", with_headers={"allow": "POST"}
    ),
    "delete of a handler without input": Refused(
        method="DELETE",
        path="/Counter/sam/get",
        status=405,
        says="get takes GET, POST",
        with_headers={"allow": "GET, POST"},
    ),
    "post to health": Refused(
        path="/restate/health", status=405, says="takes GET", with_headers={"allow": "GET"}
    ),
    "wrong content type": Refused(
        headers={"content-type": "text/plain"},
        status=400,
        says=VALIDATION + "Content-type 'text/plain' does not match 'application/json'",
    ),
    "form": Refused(
        headers={"content-type": "application/x-www-form-urlencoded"},
        status=400,
        says="does not match",
    ),
    "content type that begins alike": Refused(
        headers={"content-type": "application/jsonp"}, status=400, says="does not match"
    ),
    "missing content type": Refused(headers={}, status=400, says=VALIDATION + "Empty content-type"),
    "other charset": Refused(
        headers={"content-type": "application/json; charset=latin-1"},
        status=400,
        says="the charset is 'latin-1'",
    ),
    "empty body": Refused(body=b"", status=400, says=VALIDATION + "Empty body not allowed"),
    "body for a handler without input": Refused(
        path="/Counter/sam/get",
        status=400,
        says=VALIDATION + "Expected body and content-type to be empty",
    ),
    "malformed JSON": Refused(body=b"{not json", status=400, says=""),
    "value of another type": Refused(body=b'"five"', status=400, says=""),
    "key that is not UTF-8": Refused(
        path="/Counter/%FF/add", status=400, says="bad path, cannot decode"
    ),
    "key that is too long": Refused(
        path=f"/Counter/{'k' * 513}/add", status=400, says="at most 512"
    ),
    "delay on a call": Refused(
        path="/Counter/sam/add?delay=1s",
        status=400,
        says="cannot use the delay query parameter with calls. The delay is supported only with "
        "sends",
    ),
    "malformed delay": Refused(
        path="/Counter/sam/add/send?delay=soon", status=400, says="bad delay query parameter"
    ),
    "empty delay": Refused(
        path="/Counter/sam/add/send?delay=", status=400, says="bad delay query parameter"
    ),
    "empty idempotency key": Refused(
        headers={**JSON, "idempotency-key": ""}, status=400, says="0 bytes long"
    ),
    "long idempotency key": Refused(
        headers={**JSON, "idempotency-key": "k" * 1025}, status=400, says="1025 bytes long"
    ),
    "idempotency key that is not UTF-8": Refused(
        headers={**JSON, "idempotency-key": "\udcff"}, status=400, says="not UTF-8"
    ),
    "compressed body": Refused(
        headers={**JSON, "content-encoding": "gzip"},
        status=415,
        says="encoded as 'gzip'",
        with_headers={"accept-encoding": "identity"},
    ),
    "long body": Refused(body=b"1" * 65, status=413, says="longer than 64 bytes"),
    "body said to be long": Refused(
        headers={**JSON, "content-length": "65"}, status=413, says="longer than 64 bytes"
    ),
    "body said to be absurdly long": Refused(
        headers={**JSON, "content-length": "9" * 5000}, status=413, says="longer than 64 bytes"
    ),
    "length that is no number": Refused(
        headers={**JSON, "content-length": "\u0665"}, status=400, says="is no number"
    ),
    "foreign host": Refused(
        headers={**JSON, "host": "evil.example"}, status=421, says="does not answer to the host"
    ),
    "foreign origin": Refused(
        headers={**JSON, "host": "localhost:8080", "origin": "https://evil.example"},
        status=403,
        says="pages of 'https://evil.example' may not",
    ),
    "origin on another port": Refused(
        headers={**JSON, "host": "localhost:8080", "origin": "http://localhost:3000"},
        status=403,
        says="may not call",
    ),
    "opaque origin": Refused(headers={**JSON, "origin": "null"}, status=403, says="may not call"),
    "cross-site image": Refused(
        method="GET",
        path="/Counter/sam/get",
        body=b"",
        headers={"sec-fetch-site": "cross-site"},
        status=403,
        says="another site",
    ),
    "image on another port": Refused(
        method="GET",
        path="/Counter/sam/get",
        body=b"",
        headers={"sec-fetch-site": "same-site"},
        status=403,
        says="another site",
    ),
    "cross-site health": Refused(
        method="GET",
        path="/restate/health",
        body=b"",
        headers={"sec-fetch-site": "cross-site"},
        status=403,
        says="another site",
    ),
    "preflight of a foreign origin": Refused(
        method="OPTIONS",
        headers={"origin": "https://evil.example", "access-control-request-method": "POST"},
        status=403,
        says="may not call",
    ),
    "options": Refused(method="OPTIONS", body=b"", status=405, says="method not allowed"),
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED.keys())
async def test_a_refused_request_leaves_no_trace(engine: FakeEngine, refused: Refused) -> None:
    options = HttpOptions(body_bytes_max=64)

    response = await ask(
        engine, refused.method, refused.path, refused.body, refused.headers, options
    )

    error = error_of(response.body)
    assert (response.status, error["code"]) == (refused.status, refused.status)
    assert refused.says in str(error["message"])
    assert error["source"] == response.headers["x-restate-error-source"] == "ingress"
    assert refused.with_headers.items() <= response.headers.items()
    assert engine.accepted == []


async def test_a_value_of_another_type_is_named(engine: FakeEngine) -> None:
    response = await ask(engine, "POST", "/Counter/sam/add", b'"five"')
    assert "int" in str(error_of(response.body)["message"])


@pytest.mark.parametrize(
    ("refusal", "status", "retry_after"),
    [
        (InvalidArgumentError("no"), 400, None),
        (StoreFullError("no"), 507, "30"),
        (RuntimeClosedError("no"), 503, "5"),
        (StoreFailedError("no"), 503, "5"),
    ],
)
async def test_what_the_engine_refuses_at_once_says_whether_to_try_again(
    engine: FakeEngine, refusal: HoldfastError, status: int, retry_after: str | None
) -> None:
    engine.refusal = refusal

    response = await ask(engine, "POST", "/Counter/sam/add", b"5")

    assert response.status == status
    assert response.headers.get("retry-after") == retry_after
    assert error_of(response.body)["message"] == "no"


@pytest.mark.parametrize(
    ("failure", "status", "retry_after"),
    [
        (ConflictError("no"), 409, None),
        (MailboxFullError("no"), 429, "1"),
    ],
)
async def test_what_the_engine_refuses_later_left_no_trace_either(
    engine: FakeEngine, failure: HoldfastError, status: int, retry_after: str | None
) -> None:
    engine.failure = failure

    response = await ask(engine, "POST", "/Counter/sam/add", b"5")

    assert response.status == status
    assert response.headers.get("retry-after") == retry_after
    assert error_of(response.body)["message"] == "no"


@pytest.mark.parametrize("failure", [StoreFailedError("Disk."), RuntimeClosedError("Bye")])
async def test_an_unknown_outcome_invites_a_retry_only_with_an_idempotency_key(
    engine: FakeEngine, failure: HoldfastError
) -> None:
    engine.failure = failure

    unkeyed = await ask(engine, "POST", "/Counter/sam/add", b"5")
    keyed = await ask(engine, "POST", "/Counter/sam/add", b"5", {**JSON, "idempotency-key": "k"})

    assert (unkeyed.status, keyed.status) == (503, 503)
    assert "retry-after" not in unkeyed.headers
    assert error_of(unkeyed.body)["message"] == (
        f"{failure.message.rstrip('.')}. This request had no idempotency key, so sending it again "
        f"may do it twice."
    )
    assert "retry-after" in keyed.headers
    assert error_of(keyed.body)["message"] == failure.message


async def test_a_bug_is_logged_and_tells_the_caller_nothing(
    engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.refusal = ZeroDivisionError("secret detail")

    with caplog.at_level(logging.ERROR, logger="holdfast.ingress"):
        response = await ask(engine, "POST", "/Counter/sam/add", b"5")

    assert response.status == 500
    assert b"secret detail" not in response.body
    assert "ZeroDivisionError" in caplog.text


# Browsers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "localhost"},
        {"host": "LOCALHOST:8080"},
        {"host": "127.0.0.1:8080"},
        {"host": "192.168.1.7"},
        {"host": "[::1]:8080"},
        {"host": "[fe80::1]"},
        {"host": "api.example.com:443"},
        {"host": "localhost:8080", "origin": "http://localhost:8080"},
        {"host": "api.example.com", "origin": "https://api.example.com"},
        {"host": "localhost", "origin": "https://app.example.com"},
        {"host": "localhost", "origin": "https://app.example.com", "sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "same-origin"},
    ],
)
async def test_programs_own_pages_and_configured_names_are_let_in(
    engine: FakeEngine, headers: dict[str, str]
) -> None:
    options = HttpOptions(
        hosts=frozenset({"API.example.com"}), origins=frozenset({"https://app.example.com/"})
    )
    response = await ask(engine, "POST", "/Counter/sam/add", b"5", {**JSON, **headers}, options)
    assert response.status == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:127.0.0.1",
        "2130706433",
        "0x7f000001",
        "127.1",
        "[::1].evil.example",
        "[::1",
        "[evil.example]",
        "localhost@evil.example",
        "\0",
        "ü",
    ],
)
async def test_a_name_that_anyone_may_point_here_is_misdirected(
    engine: FakeEngine, host: str
) -> None:
    response = await ask(engine, "POST", "/Counter/sam/add", b"5", {**JSON, "host": host})
    assert response.status == 421


async def test_a_star_lets_any_host_and_any_origin_in(engine: FakeEngine) -> None:
    options = HttpOptions(hosts=frozenset({"*"}), origins=frozenset({"*"}))
    headers = {**JSON, "host": "any.example", "origin": "https://other.example"}
    response = await ask(engine, "POST", "/Counter/sam/add", b"5", headers, options)
    assert response.status == 200


async def test_a_page_of_a_configured_origin_may_ask_and_read(engine: FakeEngine) -> None:
    options = HttpOptions(origins=frozenset({"https://app.example.com"}))
    origin = {"origin": "https://app.example.com", "sec-fetch-site": "cross-site"}
    asking = {
        **origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }

    preflight = await ask(engine, "OPTIONS", "/Counter/sam/add", b"", asking, options)
    answer = await ask(engine, "POST", "/Counter/sam/add", b"5", {**JSON, **origin}, options)
    refused = await ask(engine, "POST", "/Counter/sam/nope", b"5", {**JSON, **origin}, options)

    assert preflight.status == 200
    assert preflight.headers["access-control-allow-headers"] == "content-type"
    assert preflight.headers["access-control-allow-methods"] == "POST"
    for response in (preflight, answer, refused):
        assert response.headers["access-control-allow-origin"] == "https://app.example.com"
        assert response.headers["access-control-allow-credentials"] == "true"
        assert "origin" in response.headers["vary"].split(", ")


async def test_no_page_brings_credentials_where_any_page_may_call(engine: FakeEngine) -> None:
    options = HttpOptions(origins=frozenset({"*"}))
    headers = {**JSON, "origin": "https://other.example"}
    response = await ask(engine, "POST", "/Counter/sam/add", b"5", headers, options)
    assert response.headers["access-control-allow-origin"] == "https://other.example"
    assert "access-control-allow-credentials" not in response.headers


# What a handler sees of the headers


async def test_only_listed_headers_reach_the_handler(engine: FakeEngine) -> None:
    headers = {
        **JSON,
        "authorization": "Bearer s3cret",
        "cookie": "sid=s3cret",
        "x-api-key": "s3cret",
        "accept": "*/*",
        "user-agent": "curl/8",
        "traceparent": "00-1-2-01",
        "x-request-id": "r1",
        "x-tenant": "acme",
        "idempotency-key": "k",
    }

    await ask(
        engine,
        "POST",
        "/Counter/sam/add",
        b"5",
        headers,
        HttpOptions(headers=frozenset({"X-Tenant"})),
    )

    assert engine.accepted[0].headers == {
        **JSON,
        "user-agent": "curl/8",
        "traceparent": "00-1-2-01",
        "x-request-id": "r1",
        "x-tenant": "acme",
    }


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "proxy-authorization",
        "Cookie",
        "set-cookie",
        "X-API-Key",
        "x-goog-api-key",
        "apikey",
        "x-auth-token",
        "x-csrf-token",
        "x-amz-security-token",
        "x-hub-secret",
        "x-session-id",
    ],
)
def test_a_header_that_carries_a_secret_cannot_be_listed(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="secret"):
        HttpOptions(headers=frozenset({name}))


@pytest.mark.parametrize(
    ("value", "seen"), [("caf\udce9", "café"), ("ü", "ü"), ("half \ud83d", "half ?")]
)
async def test_a_header_in_another_encoding_reaches_the_handler_as_text(
    engine: FakeEngine, value: str, seen: str
) -> None:
    await ask(engine, "POST", "/Counter/sam/add", b"5", {**JSON, "user-agent": value})
    assert engine.accepted[0].headers["user-agent"] == seen


@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("body_bytes_max", lambda: HttpOptions(body_bytes_max=0)),
        ("head_seconds_max", lambda: HttpOptions(head_seconds_max=-1)),
        ("body_seconds_max", lambda: HttpOptions(body_seconds_max=0)),
        ("keepalive_seconds", lambda: HttpOptions(keepalive_seconds=0)),
    ],
)
def test_a_limit_that_lets_nothing_in_is_refused(
    field: str, make: Callable[[], HttpOptions]
) -> None:
    with pytest.raises(InvalidArgumentError, match=field):
        make()


# Awakeables

RESOLVE = f"/restate/awakeables/{AWAKEABLE}/resolve"
REJECT = f"/restate/awakeables/{AWAKEABLE}/reject"


async def test_an_awakeable_is_resolved_with_a_json_value(engine: FakeEngine) -> None:
    response = await ask(engine, "POST", RESOLVE, b'{"a": 1}')
    assert response == Response(202, {}, b"")
    assert engine.completed == {AWAKEABLE: b'{"a": 1}'}


async def test_resolving_with_no_body_means_null(engine: FakeEngine) -> None:
    assert (await ask(engine, "POST", RESOLVE)).status == 202
    assert engine.completed == {AWAKEABLE: b"null"}


async def test_a_second_completion_is_accepted_and_changes_nothing(engine: FakeEngine) -> None:
    await ask(engine, "POST", RESOLVE, b"1")
    assert (await ask(engine, "POST", RESOLVE, b"2")).status == 202
    assert (await ask(engine, "POST", REJECT, b"no", {})).status == 202
    assert engine.completed == {AWAKEABLE: b"1"}


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (b"my bad", {"content-type": "text/plain"}, "my bad"),
        (b"my bad", {}, "my bad"),
        (b'"my bad"', JSON, "my bad"),
        (b"", {}, "the awakeable was rejected"),
        ("schön".encode(), {"content-type": "text/plain; charset=utf-8"}, "schön"),
    ],
)
async def test_an_awakeable_is_rejected_with_a_reason(
    engine: FakeEngine, body: bytes, headers: dict[str, str], reason: str
) -> None:
    response = await ask(engine, "POST", REJECT, body, headers)

    assert response == Response(202, {}, b"")
    rejected = engine.completed[AWAKEABLE]
    assert isinstance(rejected, TerminalError)
    assert (rejected.message, rejected.status_code) == (reason, 500)


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", RESOLVE, b"", {}, 405),
        ("PUT", REJECT, b"no", {}, 405),
        ("POST", "/restate/awakeables/bogus/resolve", b"1", JSON, 400),
        ("POST", RESOLVE, b"1", {"content-type": "text/plain"}, 400),
        ("POST", RESOLVE, b"1", {}, 400),
        ("POST", RESOLVE, b"{", JSON, 400),
        ("POST", RESOLVE, b"NaN", JSON, 400),
        ("POST", RESOLVE, b'"\\ud800"', JSON, 400),
        ("POST", RESOLVE, b"\xff", JSON, 400),
        ("POST", RESOLVE, b"[" * 100_000, JSON, 400),
        ("POST", RESOLVE, b"9" * 5_000, JSON, 400),
        ("POST", REJECT, b"\xff", {}, 400),
        ("POST", REJECT, b"5", JSON, 400),
        ("POST", REJECT, b"x" * 65_537, {}, 400),
    ],
)
async def test_a_completion_that_does_not_fit_changes_nothing(  # noqa: PLR0913, PLR0917 - a table's columns
    engine: FakeEngine,
    method: str,
    path: str,
    body: bytes,
    headers: dict[str, str],
    status: int,
) -> None:
    response = await ask(engine, method, path, body, headers)
    assert response.status == status
    assert response.headers["x-restate-error-source"] == "ingress"
    assert engine.completed == {}


async def test_an_awakeable_that_does_not_exist_is_not_found(engine: FakeEngine) -> None:
    other = AwakeableId(InvocationId(bytes(16)), 1)
    response = await ask(engine, "POST", f"/restate/awakeables/{other}/resolve", b"1")
    assert response.status == 404


async def test_a_completion_of_unknown_outcome_can_be_repeated(engine: FakeEngine) -> None:
    engine.failure = StoreFailedError("the disk failed")
    response = await ask(engine, "POST", RESOLVE, b"1")
    assert response.status == 503
    assert "retry-after" in response.headers
