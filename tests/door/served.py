"""What stands behind the door while it is stormed."""

from holdfast import Context, Service, VirtualObject, Workflow, handler, shared, state


class Counter(VirtualObject):
    total: int = state(0)

    @handler
    async def add(self, ctx: Context, amount: int) -> int:
        self.total += amount
        return self.total

    @shared
    async def get(self, ctx: Context) -> int:
        return self.total


class Mailer(Service):
    @handler
    async def mail(self, ctx: Context, to: str, text: str = "") -> str:
        return f"{to}: {text}"


class Deal(Workflow):
    @handler
    async def run(self, ctx: Context, what: str) -> str:
        return what
