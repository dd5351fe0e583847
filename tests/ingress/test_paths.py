"""What a path names."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.ingress.awakeable_paths import AwakeablePath
from holdfast.ingress.call_paths import CallPath, Query, parse_query
from holdfast.ingress.paths import HealthPath, parse_path
from holdfast.ingress.problems import RefusedError
from holdfast.objects.errors import InvalidArgumentError, UnknownTargetError
from holdfast.objects.identity import KEY_BYTES_MAX, Target
from holdfast.objects.registry import Registry
from tests.ingress.fake_engine import AWAKEABLE, Counter, Mailer

REGISTRY = Registry([Counter, Mailer])

SERVED = "served here: Counter (object), Mailer (service)"
NO_HANDLER = "the service 'Counter' exists, but the handler"
REGISTER = "make sure to register the service before calling it"
HANDLERS = "its handlers are add, get, reset"


def parse_call(path: str) -> CallPath:
    parsed = parse_path(path, REGISTRY)
    assert isinstance(parsed, CallPath)
    return parsed


def key_of(segment: str) -> str | None:
    return parse_call(f"/Counter/{segment}/get").target.key


@pytest.mark.parametrize(
    ("path", "target", "is_send"),
    [
        ("/Counter/sam/get", Target("Counter", "sam", "get"), False),
        ("/Counter/sam/get/", Target("Counter", "sam", "get"), False),
        ("/Counter/sam/add/send", Target("Counter", "sam", "add"), True),
        ("/Counter/sam/add/send/", Target("Counter", "sam", "add"), True),
        ("/Counter/send/add/send", Target("Counter", "send", "add"), True),
        ("/Counter/send/get", Target("Counter", "send", "get"), False),
        ("/Counter/restate/get", Target("Counter", "restate", "get"), False),
        ("/Mailer/mail", Target("Mailer", None, "mail"), False),
        ("/Mailer/mail/send", Target("Mailer", None, "mail"), True),
        ("/%43ounter/sam/g%65t", Target("Counter", "sam", "get"), False),
        ("/restate/call/Counter/sam/get", Target("Counter", "sam", "get"), False),
        ("/restate/call/Counter/send/get/", Target("Counter", "send", "get"), False),
        ("/restate/send/Counter/sam/add", Target("Counter", "sam", "add"), True),
        ("/restate/call/Mailer/mail", Target("Mailer", None, "mail"), False),
        ("/restate/send/Mailer/mail", Target("Mailer", None, "mail"), True),
    ],
)
def test_a_path_names_a_handler(path: str, target: Target, is_send: bool) -> None:  # noqa: FBT001
    parsed = parse_call(path)
    assert (parsed.target, parsed.is_send) == (target, is_send)
    assert parsed.handler.name == target.handler


@pytest.mark.parametrize(
    ("segment", "key"),
    [
        ("a%2Fb", "a/b"),
        ("a%2fb", "a/b"),
        ("%25ff", "%ff"),
        ("%2525", "%25"),
        ("a%20b", "a b"),
        ("a+b", "a+b"),
        ("%C3%BC", "ü"),
        ("ü", "ü"),
        ("u%CC%88", "u\u0308"),
        ("..", ".."),
        ("%2e", "."),
        ("a;b=c", "a;b=c"),
        ("%3F%23", "?#"),
        ("%0A", "\n"),
    ],
)
def test_a_segment_is_decoded_once(segment: str, key: str) -> None:
    assert key_of(segment) == key


@given(st.text(min_size=1, max_size=60).filter(lambda key: "\0" not in key))
def test_every_key_but_nul_comes_back_from_its_encoding(key: str) -> None:
    assert key_of(quote(key, safe="")) == key


@given(st.text("%25fF/aü", min_size=1, max_size=8), st.text("%25fF/aü", min_size=1, max_size=8))
def test_two_keys_never_share_a_path(one: str, other: str) -> None:
    assert (quote(one, safe="") == quote(other, safe="")) == (one == other)
    assert (key_of(quote(one, safe="")) == key_of(quote(other, safe=""))) == (one == other)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "bad path"),
        ("/", "bad path: /; expected /{object}/{key}/{handler} or /{service}/{handler}; " + SERVED),
        ("/nope", "bad path: /nope; expected /{object}/{key}/{handler}"),
        ("/counter", SERVED + "; did you mean 'Counter'?"),
        ("/Counter", "Counter is an object, so its key stands between"),
        ("/Counter", HANDLERS),
        ("Counter/sam/get", "bad path"),
        ("http://localhost/Counter/sam/get", "bad path"),
        ("*", "bad path"),
        ("/Counter/sam#x/get", "bad path"),
        ("/Counter/sam/get/now", "Counter is an object"),
        ("/Counter/sam/get/send/send", "Counter is an object"),
        ("/Counter/sam/get//", "Counter is an object"),
        ("/Mailer/sam/mail", "Mailer is a service"),
        ("/Mailer/mail/send/x", "Mailer is a service"),
        ("/restate/call/Counter/sam", "Counter is an object"),
        ("/restate/call/Counter/sam/add/send", "Counter is an object"),
        ("/restate/send/Mailer/sam/mail", "Mailer is a service"),
        ("/Counter/%ff/get", "not UTF-8"),
        ("/Counter/%C3/get", "not UTF-8"),
        ("/Counter/%ED%A0%80/get", "not UTF-8"),
        ("/Counter/\udcff/get", "not UTF-8"),
        ("/Counter/a\ud800b/get", "not UTF-8"),
        ("/Counter/%/get", "percent-encoded"),
        ("/Counter/%2/get", "percent-encoded"),
        ("/Counter/%zz/get", "percent-encoded"),
        ("/Counter/%+1/get", "percent-encoded"),
        ("/Counter/% 1/get", "percent-encoded"),
        ("/Counter/a%00b/get", "NUL"),
        ("/Counter//get", "must not be empty"),
        (f"/Counter/{'k' * (KEY_BYTES_MAX + 1)}/get", "at most 512"),
        (f"/Counter/{'%C3%BC' * 257}/get", "at most 512"),
        ("/restate/awakeables/bogus/resolve", "bad awakeable id 'bogus'"),
        (f"/restate/awakeables/inv_{'0' * 32}/resolve", "is an invocation id"),
    ],
)
def test_what_is_no_path_is_refused_with_its_reason(path: str, said: str) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        parse_path(path, REGISTRY)
    assert said in raised.value.message


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/NoSuchService/handler", f"service 'NoSuchService' not found, {REGISTER}; {SERVED}"),
        (
            "/counter/sam/get",
            f"service 'counter' not found, {REGISTER}; {SERVED}; did you mean 'Counter'?",
        ),
        ("/restate/call", f"service '' not found, {REGISTER}; {SERVED}"),
        (
            "/restate/send/Countr/sam/get",
            f"service 'Countr' not found, {REGISTER}; {SERVED}; did you mean 'Counter'?",
        ),
        ("/Counter/sam/nope", f"{NO_HANDLER} 'nope' was not found; {HANDLERS}"),
        (
            "/Counter/sam/gett",
            f"{NO_HANDLER} 'gett' was not found; {HANDLERS}; did you mean 'get'?",
        ),
    ],
)
def test_what_does_not_exist_is_not_found_and_a_near_name_is_offered(
    path: str, message: str
) -> None:
    with pytest.raises(UnknownTargetError) as raised:
        parse_path(path, REGISTRY)
    assert raised.value.message == message


@pytest.mark.parametrize(
    "path", ["/restate", "/restate/nope", "/restate/awakeables/x/y", "/restate/health/x"]
)
def test_the_system_has_no_other_paths(path: str) -> None:
    with pytest.raises(RefusedError, match="not found"):
        parse_path(path, REGISTRY)


def test_the_system_has_its_own_paths() -> None:
    assert parse_path("/restate/health", REGISTRY) == HealthPath()
    assert parse_path(f"/restate/awakeables/{AWAKEABLE}/resolve", REGISTRY) == AwakeablePath(
        AWAKEABLE, "resolve"
    )
    assert parse_path(f"/restate/a/{AWAKEABLE}/reject/", REGISTRY) == AwakeablePath(
        AWAKEABLE, "reject"
    )


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", Query()),
        ("delay=10s", Query("10s")),
        ("delay=1h%2030m", Query("1h 30m")),
        ("delay=", Query("")),
        ("delay", Query("")),
        ("mode=interrupt", Query(mode="interrupt")),
        ("mode=queue", Query()),
        ("mode=steer&delay=1s", Query("1s", "steer")),
    ],
)
def test_the_query_holds_a_delay_and_a_mode(query: str, said: Query) -> None:
    assert parse_query(query) == said


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("dealy=1h", "unknown query parameter 'dealy'; did you mean 'delay'?"),
        ("Delay=1s", "unknown query parameter 'Delay'; did you mean 'delay'?"),
        ("delay=1s&a=b", "unknown query parameter 'a'; there are 'delay', for sends, and 'mode'"),
        ("moed=steer", "unknown query parameter 'moed'; did you mean 'mode'?"),
        ("=1s", "unknown query parameter ''"),
    ],
)
def test_an_unknown_parameter_is_named_with_those_there_are(query: str, said: str) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        parse_query(query)
    assert raised.value.message.startswith(said)


@pytest.mark.parametrize("name", ["delay", "mode"])
def test_a_parameter_that_is_given_twice_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"bad {name} query .* more than once"):
        parse_query(f"{name}=queue&{name}=queue")


def test_a_mode_there_is_not_is_named_with_those_there_are() -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        parse_query("mode=interupt")
    assert raised.value.message == (
        "mode is one of 'queue', 'interrupt', 'steer', but this is 'interupt'"
    )
