"""A model that needs no key and no network: slow, scripted, and it keeps a record.

What it answers depends on the whole text it is given, so a report can only be right when every
step before it handed over its result unharmed.
"""

import hashlib

from ..testing.llm import LlmRequest, LlmServer, Reply, always, rate_limited, say, stall, when

BUSY_STEP = "review"
"""The step at which the model is busy the first time it is asked."""

RETRY_AFTER_SECONDS = 1

_SCRIPT = {
    "plan": "Compare three ways to survive a crash: hope, checkpoints, a journal.",
    "search": "Found 12 sources; 5 of them agree with each other.",
    "draft": "Hope is cheap. Checkpoints repeat work. A journal repeats nothing.",
    "review": "True but dry. Say what it costs: one fsync, shared by all that wait.",
    "polish": "A journal repeats nothing that is finished, for the price of one fsync.",
}


def answer(prompt: str) -> str:
    """What the model says: the script's text, and a mark of all that led to it."""
    mark = hashlib.sha256(prompt.encode()).hexdigest()[:8]
    return f"{_SCRIPT[_step_in(prompt)]} [{mark}]"


def make_model(pace: float) -> LlmServer:
    """The model, not yet listening; ``pace`` is how many seconds it takes to answer."""

    def reply(request: LlmRequest) -> Reply:
        return stall(pace, say(answer(request.last_text)))

    busy = rate_limited(retry_after=RETRY_AFTER_SECONDS)
    return LlmServer([when(lambda request: step_of(request) == BUSY_STEP, busy), always(reply)])


def step_of(request: LlmRequest) -> str:
    """The step that asked."""
    return _step_in(request.last_text)


def _step_in(prompt: str) -> str:
    return prompt.partition(":")[0]
