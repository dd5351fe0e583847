"""The operators' door: invocations, services, state, queries, health; see ``DESIGN.md``."""
