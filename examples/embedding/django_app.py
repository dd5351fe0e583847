"""Agents beside a Django application, in one process.

uvicorn django_app:app --port 8000
curl localhost:8000/agents/Greeter/sam/greet --json '"hello"'

Django answers no lifespan, so the server's goes to the runtime; everything below ``/agents`` is the
runtime's, and everything else is Django's.
"""

from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from holdfast import Context, Runtime, VirtualObject, handler, state


class Greeter(VirtualObject):
    greeted: int = state(0)

    @handler
    async def greet(self, ctx: Context, words: str) -> str:
        self.greeted += 1
        return f"{words}, {ctx.key}, for time {self.greeted}"


async def hello(_: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse(await runtime.object(Greeter, name).greet("hello"))


urlpatterns = [path("hello/<str:name>", hello)]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["localhost", "127.0.0.1"])
django.setup()

runtime = Runtime([Greeter], data_dir="data")
agents = runtime.asgi
pages = get_asgi_application()


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await agents(scope, receive, send)
    elif scope["path"].startswith("/agents/"):
        await agents({**scope, "root_path": "/agents"}, receive, send)
    else:
        await pages(scope, receive, send)
