"""Agents inside an aiohttp application, which starts and stops them.

python aiohttp_app.py 8000
curl localhost:8000/agents/Greeter/sam/greet --json '"hello"'
"""

import sys

from aiohttp import web

from holdfast import Context, Runtime, VirtualObject, handler, state


class Greeter(VirtualObject):
    greeted: int = state(0)

    @handler
    async def greet(self, ctx: Context, words: str) -> str:
        self.greeted += 1
        return f"{words}, {ctx.key}, for time {self.greeted}"


runtime = Runtime([Greeter], data_dir="data")


async def hello(request: web.Request) -> web.Response:
    greeter = runtime.object(Greeter, request.match_info["name"])
    return web.Response(text=await greeter.greet("hello"))


app = web.Application()
app.add_routes([web.get("/hello/{name}", hello)])
app.add_subapp("/agents", runtime.app())

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
