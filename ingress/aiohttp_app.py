"""The ingress as an aiohttp application, to be served by itself or mounted in another one.

    app.add_subapp("/agents", runtime.app())

A server of the runtime's own (``server``) is faster, and bounds heads and connections as well; this
is for a program that has an aiohttp application already.
"""

from collections.abc import AsyncIterator

from aiohttp import web

from .asgi import LifespanEngine
from .bodies import respond_to, to_aiohttp
from .callers import CallersDoor
from .messages import Head
from .options import DEFAULT_OPTIONS, HttpOptions

# A key may hold a line break, which a dot leaves out.
_BELOW = "/{below:(?s:.*)}"


def make_app(engine: LifespanEngine, options: HttpOptions = DEFAULT_OPTIONS) -> web.Application:
    """An application that answers every path below it for ``engine``.

    It starts the runtime with itself, and stops it, unless somebody else has started it before.
    """
    door = CallersDoor(engine, options)

    async def handle(request: web.Request) -> web.StreamResponse:
        resource = request.match_info.route.resource
        assert resource is not None, "a request without its resource"
        # A mount is whole segments, so as many are taken off what was sent.
        mount = resource.canonical.removesuffix("/{below}")
        segments = request.raw_path.split("/")
        path = "/" + "/".join(segments[mount.count("/") + 1 :])
        head = Head(request.method, path, request.headers)
        return to_aiohttp(await respond_to(door, request, head))

    async def live(_: web.Application) -> AsyncIterator[None]:
        is_ours = engine.health != "ok"  # One that has been says so when it is started again.
        if is_ours:
            await engine.start()
        yield
        if is_ours:
            await engine.stop()

    async def end_waits(_: web.Application) -> None:
        # Before aiohttp waits for those who are still here.
        door.end_waits()

    app = web.Application()
    app.router.add_route("*", _BELOW, handle)
    app.cleanup_ctx.append(live)
    app.on_shutdown.append(end_waits)
    return app
