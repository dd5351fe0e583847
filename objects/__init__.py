"""What a user says: classes, handlers, state, context, errors. No storage, no tasks, no HTTP.

``holdfast`` re-exports what is public; see ``DESIGN.md`` for why it is as it is.
"""
