"""Whether every call of a tool has its result, as both APIs insist.

It is the mistake that an agent makes which forgot half of a turn in a crash, so a pretended model
must not be more patient than the real one.
"""

from typing import Any

from .errors import BadRequestError

_CALLS = ("function_call", "function_call_output")


def check_chat_calls(messages: list[dict[str, Any]]) -> None:
    """Refuse a conversation in which calls and results of tools do not match.

    Raises:
        BadRequestError: a result without its call, or a call whose result is not among the
            messages right after it.
    """
    open_calls: list[str] = []
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            call_id = message.get("tool_call_id")
            if call_id not in open_calls:
                reason = (
                    "messages with role 'tool' must be a response to a preceding message with "
                    f"'tool_calls'; no call {call_id!r} is open"
                )
                raise BadRequestError(reason, f"messages.[{index}].tool_call_id")
            open_calls.remove(call_id)
            continue
        _check_none_open(open_calls, index)
        if message["role"] == "assistant":
            calls: list[dict[str, Any]] = message.get("tool_calls") or []
            open_calls = [str(call.get("id")) for call in calls]
    _check_none_open(open_calls, len(messages))


def _check_none_open(open_calls: list[str], index: int) -> None:
    if open_calls:
        reason = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            f"{', '.join(open_calls)}"
        )
        raise BadRequestError(reason, f"messages.[{index}].role")


def check_responses_calls(items: list[dict[str, Any]], *, continues: bool) -> None:
    """Refuse input in which calls and results of tools do not match.

    Args:
        items: the input.
        continues: whether it goes on from an earlier response, which may hold the calls.

    Raises:
        BadRequestError: a result without its call, or a call without its result, or an id that is
            none.
    """
    for item in items:
        call_id = item.get("call_id")
        if item.get("type") in _CALLS and not isinstance(call_id, str | None):
            reason = f"the call_id of a {item['type']} is {call_id!r}, and it has to be a text"
            raise BadRequestError(reason, "input")
    called = {item.get("call_id") for item in items if item.get("type") == "function_call"}
    outputs = [item for item in items if item.get("type") == "function_call_output"]
    for item in outputs:
        if item.get("call_id") not in called and not continues:
            reason = (
                f"No tool call found for function call output with call_id {item.get('call_id')}."
            )
            raise BadRequestError(reason, "input")
    missing = called - {item.get("call_id") for item in outputs}
    if missing:
        reason = f"No tool output found for function call {min(map(str, missing))}."
        raise BadRequestError(reason, "input")
