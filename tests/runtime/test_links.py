"""The keys of links: which one signs, which ones count, and that nothing else is made of them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from holdfast import Context, RuntimeConfig, VirtualObject, handler
from holdfast.journal import keys
from holdfast.journal.records import decode_link_keys
from holdfast.objects.registry import Registry
from holdfast.runtime.checking import Verdict
from holdfast.testing import worlds
from holdfast.watched_check import check_open_invocations

from .worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.journal.records import LinkKey


class Asker(VirtualObject):
    @handler
    async def ask(self, ctx: Context) -> str:
        awakeable = ctx.awakeable(str)
        link = awakeable.link(expires_in=timedelta(days=1))
        await ctx.object(Asker, "mail").keep.send(link)
        return f"{link} {await awakeable}"

    @handler
    async def keep(self, ctx: Context, link: str) -> None: ...

    @handler
    async def wait(self, ctx: Context) -> None:
        await ctx.awakeable()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Asker])
    await world.start()
    yield world
    world.close()


def kept(world: worlds.World) -> tuple[LinkKey, ...]:
    row = world.store.get(keys.meta("link keys"))
    return () if row is None else decode_link_keys(row)


async def test_the_key_is_made_with_the_first_link_and_is_the_same_from_then_on(
    world: World,
) -> None:
    await world.runtime.object(Asker, "a").wait.send()
    await world.rest()
    assert kept(world) == ()

    await world.runtime.object(Asker, "b").ask.send()
    await world.rest()
    (key,) = kept(world)
    await world.restart()
    await world.runtime.object(Asker, "c").ask.send()
    await world.rest()

    assert kept(world) == (key,)
    assert len(key.key) == 32


async def test_two_directories_have_two_keys_and_count_no_links_of_each_other(
    world: World,
) -> None:
    other = worlds.World([Asker], seed=7)
    await other.start()
    try:
        await world.runtime.rotate_link_keys()
        await other.runtime.rotate_link_keys()
        assert kept(world)[0].key != kept(other)[0].key
        signature = world.runtime.core.lifecycle.links.sign(b"text")
        assert world.runtime.verify_link(b"text", signature)
        assert not other.runtime.verify_link(b"text", signature)
    finally:
        other.close()


async def test_a_later_key_is_later_although_the_clock_stands_still(world: World) -> None:
    for _ in range(3):
        await world.runtime.rotate_link_keys()
    times = [key.created_ms for key in kept(world)]
    assert times == sorted(set(times))


async def test_a_signature_counts_for_its_text_and_its_spelling_only(world: World) -> None:
    links = world.runtime.core.lifecycle.links
    signature = links.sign(b"text")
    assert links.verify(b"text", signature)
    for text, said in (
        (b"texT", signature),
        (b"text", signature.lower()),
        (b"text", signature + "="),
        (b"text", signature[:-1]),
        (b"text", ""),
        (b"text", "\udcff"),
    ):
        assert not links.verify(text, said)


async def test_what_was_signed_at_a_moment_is_signed_so_again_whatever_happened_since(
    world: World,
) -> None:
    links = world.runtime.core.lifecycle.links
    before_any = links.sign_at(b"text", 0)
    now_ms = world.clock.now_ms()
    first = links.sign_at(b"text", now_ms)
    await world.clock.advance(1)
    await world.runtime.rotate_link_keys(revoke=True)
    later = links.sign_at(b"text", world.clock.now_ms())

    assert links.sign_at(b"text", 0) == before_any == first == links.sign_at(b"text", now_ms)
    assert later != first
    assert [links.verify(b"text", each) for each in (first, later)] == [False, True]


async def test_a_link_is_the_same_again_after_a_rotation_in_the_same_millisecond(
    world: World,
) -> None:
    """The key that was made in the millisecond of the link signed it when it was replayed."""
    links = world.runtime.core.lifecycle.links
    links.sign(b"another text")
    await world.clock.advance(1)
    now_ms = world.clock.now_ms()
    first = links.sign_at(b"text", now_ms)
    await world.runtime.rotate_link_keys()

    assert links.sign_at(b"text", now_ms) == first
    assert links.sign_at(b"text", now_ms + 1) != first


async def test_a_handler_that_is_replayed_each_time_makes_the_same_link() -> None:
    world = World([Asker], RuntimeConfig(always_replay=True))
    await world.start()
    try:
        await world.runtime.object(Asker, "a").ask.send()
        await world.rest()
        await world.runtime.rotate_link_keys()
        (question,) = await world.runtime.awakeables()
        await world.runtime.resolve_awakeable(question.id, "yes")
        await world.rest()
        described = await world.runtime.invocation(question.invocation_id).describe()
        assert described.status == "completed"
    finally:
        world.close()


async def test_a_check_knows_the_links_and_leaves_no_key_behind(world: World) -> None:
    class Other(VirtualObject, name="Asker"):
        @handler
        async def wait(self, ctx: Context) -> None:
            awakeable = ctx.awakeable()
            assert "signature=" in awakeable.link(expires_in=60)
            await awakeable

        @handler
        async def ask(self, ctx: Context) -> str:
            raise NotImplementedError

    await world.runtime.object(Asker, "a").wait.send()
    await world.rest()
    (changed,) = check_open_invocations(world.store.view(), Registry([Other]), seconds_max=30)
    assert changed.verdict is Verdict.SAFE
    assert kept(world) == ()

    await world.runtime.object(Asker, "b").ask.send()
    await world.rest()
    for checked in check_open_invocations(world.store.view(), Registry([Asker]), seconds_max=30):
        assert checked.verdict is Verdict.SAFE, checked
