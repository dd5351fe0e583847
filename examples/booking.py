"""A trip of three bookings that all stand, or are all taken back: a saga.

Run it: python examples/booking.py
"""

import asyncio

from holdfast import Context, Runtime, TerminalError, VirtualObject, handler, step_info

BOOKED: dict[str, str] = {}  # stands for other people's systems


class Trip(VirtualObject):
    """One trip per key."""

    @handler
    async def book(self, ctx: Context, city: str) -> str:
        async with ctx.saga() as saga:
            for what in ("flight", "hotel", "car"):
                # Before the booking: it may have happened although nobody sees its result.
                saga.add(f"cancel {what}", cancel, f"{what} {ctx.key}")
                await ctx.run(f"book {what}", book, f"{what} {ctx.key}", city)
        return f"{ctx.key} goes to {city}"


async def book(what: str, city: str) -> None:
    """Ask the system that books; the key lets it tell a repetition."""
    if city == "Atlantis" and what.startswith("car"):
        message = f"no cars in {city}"
        raise TerminalError(message, status_code=404)
    BOOKED[what] = step_info().idempotency_key


async def cancel(what: str) -> None:
    """Take a booking back, if there is one."""
    if BOOKED.pop(what, None):
        print("cancelled", what)


async def main() -> None:
    """Book one trip that works out, and one that does not."""
    async with Runtime([Trip], data_dir="data") as runtime:
        print(await runtime.object(Trip, "sam").book("Oslo"))
        try:
            await runtime.object(Trip, "eve").book("Atlantis")
        except TerminalError as error:
            print(error.status_code, error.message)
    print("booked:", ", ".join(sorted(BOOKED)))


if __name__ == "__main__":
    asyncio.run(main())
