"""Talking to a server over HTTP as if its runtime were in this process.

``client`` is what programs use, ``sync_client`` the same for programs without asyncio. Both know
``objects``, and nothing of the runtime but the values that it describes itself with. ``transport``
is the only module that imports aiohttp. What is asked is an ``exchange.Ask``; ``asking`` asks it
again and again until there is an answer, and says what is known if there is none.
"""
