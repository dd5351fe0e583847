"""No request, however odd, is answered with a 5xx or raises, and no refused one is accepted."""

import asyncio
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.ingress.callers import CallersDoor
from holdfast.ingress.messages import Head, Request, Response
from tests.ingress.fake_engine import AWAKEABLE, FakeEngine

ANY_TEXT = st.text(st.characters(), max_size=30)  # lone surrogates, as a transport may hand on
SEGMENT = st.sampled_from(
    [
        *("Counter", "Mailer", "restate", "awakeables", "health", "send", "add", "get", "mail"),
        *("call", "attach", "output", "lookup", "invocation", "workflow", "a", "promises"),
        *("effects", "signals", str(AWAKEABLE.invocation_id.hex()), "inv_" + "0" * 32),
        *("resolve", "reject", str(AWAKEABLE), "", "..", "%", "%ff", "%00", "%2F", "sam", "\udcff"),
    ]
)
PATH = st.one_of(
    st.lists(SEGMENT, max_size=6).map(lambda segments: "/" + "/".join(segments)),
    st.lists(SEGMENT, max_size=6).map(lambda segments: "/restate/" + "/".join(segments)),
    ANY_TEXT,
    ANY_TEXT.map(lambda text: f"/Counter/{text}/get"),
)
TARGET = (
    b'{"target":"idempotentInvocation","service":"Counter","key":"a","handler":"add",'
    b'"idempotencyKey":"\\ud800"}'
)
QUERY = st.one_of(
    st.just(""),
    st.just("?delay=1s"),
    st.builds(
        "?{}={}".format, st.sampled_from(["delay", "wait", "at", "entry", "after"]), ANY_TEXT
    ),
)
HEADER_NAME = st.sampled_from(
    [
        *("content-type", "content-length", "content-encoding", "host", "origin", "user-agent"),
        *("idempotency-key", "sec-fetch-site", "access-control-request-method", "x-request-id"),
        "if-none-match",
    ]
)
HEADER_VALUE = st.one_of(
    st.sampled_from(["application/json", "localhost", "POST", "1", "cross-site", '"0123abcd"']),
    ANY_TEXT,
)
BODY = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"", b"5", b"{", b"NaN", b'{"to": "a", "text": "b"}', b"[" * 10_000]),
    st.sampled_from([b'{"target":"invocation","invocationId":"\\ud800"}', TARGET[:-9], TARGET]),
)


def answer(engine: FakeEngine, request: Request) -> Response:
    with asyncio.Runner() as runner:
        return runner.run(CallersDoor(engine).respond(request))


@settings(deadline=None, max_examples=400)
@given(
    method=st.sampled_from(["GET", "POST", "OPTIONS", "PUT", "HEAD", ""]),
    path=PATH,
    query=QUERY,
    headers=st.dictionaries(HEADER_NAME, HEADER_VALUE, max_size=5),
    is_json=st.booleans(),
    body=BODY,
)
def test_whatever_is_asked_is_answered_and_never_by_a_5xx(  # noqa: PLR0913, PLR0917 - parts of a request
    method: str,
    path: str,
    query: str,
    headers: dict[str, str],
    is_json: bool,  # noqa: FBT001 - drawn by name
    body: bytes,
) -> None:
    engine = FakeEngine()
    if is_json:
        headers = {**headers, "content-type": "application/json"}

    response = answer(engine, Request(Head(method, path + query, headers), body))

    assert 200 <= response.status < 500, response.body
    is_fine = response.status < 300
    assert len(engine.accepted) + len(engine.completed) == (
        1 if is_fine and body_or_id(response) else 0
    )
    if not is_fine:
        assert json.loads(response.body)["source"] == response.headers["x-restate-error-source"]
    for name, value in response.headers.items():
        assert (name + value).isascii()


def body_or_id(response: Response) -> bool:
    """Whether this answers a call, a send or a completion, rather than a question about health."""
    return "x-restate-id" in response.headers or response.status == 202
