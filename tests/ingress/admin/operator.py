"""An operator in front of a door that belongs to a real runtime, on rows in memory."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.ingress.admin.door import ADMIN_OPTIONS, AdminDoor
from holdfast.ingress.admin.port import OperatedEngine
from holdfast.ingress.admin.route import About
from holdfast.ingress.messages import Head, Request
from holdfast.ingress.options import HttpOptions

ABOUT = About("0.0.0", lambda: "http://127.0.0.1:8080/")


@dataclass(frozen=True)
class Answered:
    """What an operator got; ``body`` is its JSON, or ``None``."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def message(self) -> str:
        """Of a refusal, which must look as one."""
        assert self.body == {"message": self.body["message"], "restate_code": None}
        message: str = self.body["message"]
        return message


async def operate(  # noqa: PLR0913 - a request has so many parts
    engine: OperatedEngine,
    method: str,
    path: str,
    body: Any = None,
    *,
    headers: Mapping[str, str] | None = None,
    options: HttpOptions = ADMIN_OPTIONS,
) -> Answered:
    """Ask; ``body`` is sent as JSON, bytes as they are."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    said = {"host": "localhost:9070", **(headers or {})}
    if data:
        said.setdefault("content-type", "application/json")
    door = AdminDoor(engine, options, about=ABOUT)
    response = await door.respond(Request(Head(method, path, said), data))
    found = json.loads(response.body) if response.body else None
    assert (found is not None) == ("content-type" in response.headers)
    return Answered(response.status, found, response.headers)
