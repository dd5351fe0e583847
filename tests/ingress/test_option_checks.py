"""A slip in the options of the door is refused where it is written, and opens nothing."""

from typing import Any

import pytest

from holdfast import InvalidArgumentError
from holdfast.ingress.browsers import check_browser
from holdfast.ingress.options import HttpOptions

PAGE = {"host": "localhost:8080", "origin": "https://evil.example"}


@pytest.mark.parametrize("option", ["hosts", "origins", "headers"])
@pytest.mark.parametrize("given", ["https://*.example.com", "x-forwarded-for", None, 5])
def test_one_text_or_none_is_no_list_of_names(option: str, given: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=f"HttpOptions: {option} is a list of texts"):
        HttpOptions(**{option: given})


@pytest.mark.parametrize(
    ("option", "given"),
    [
        ("hosts", "https://agents.example.com"),
        ("hosts", "agents.example.com/path"),
        ("hosts", "*.example.com"),
        ("hosts", ""),
        ("origins", "app.example.com"),
        ("origins", "https://app.example.com/path"),
        ("origins", "https://*.example.com"),
        ("origins", "https://"),
    ],
)
def test_a_name_that_no_request_has_is_refused(option: str, given: str) -> None:
    names: Any = [given]
    with pytest.raises(InvalidArgumentError, match="would let nobody in"):
        HttpOptions(**{option: names})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("allow_anonymous", "false"),
        ("allow_anonymous", 0),
        ("requests_max", "100"),
        ("requests_max", 1.5),
        ("waits_max", True),
        ("keepalive_seconds", "75"),
        ("unix_mode", "660"),
    ],
)
def test_a_value_of_another_type_is_refused(option: str, value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=f"HttpOptions: {option} is {value!r}, and it"):
        HttpOptions(**{option: value})


@pytest.mark.parametrize(
    ("hosts", "authority"),
    [
        ({"agents.example.com:8443"}, "agents.example.com"),
        ({"Agents.Example.com"}, "agents.example.com:443"),
        ({"[::1]"}, "[::1]:8080"),
        ({"*"}, "anything"),
    ],
)
def test_of_a_host_the_port_does_not_matter(hosts: set[str], authority: str) -> None:
    check_browser({"host": authority}, HttpOptions(hosts=frozenset(hosts)))


@pytest.mark.parametrize("origin", ["*", "https://evil.example/", "HTTPS://evil.example"])
def test_an_origin_that_is_named_may_call(origin: str) -> None:
    check_browser(PAGE, HttpOptions(origins=frozenset({origin})))
