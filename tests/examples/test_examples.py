"""Every example, run as a program and served as a target."""

import re
import signal
import sys
from pathlib import Path

import pytest

from holdfast.testing import LlmServer, call_tool, call_tool_raw, say, stall, together
from holdfast.testing.llm.script_file import read_script
from tests.crash.nursery import fork_holdfast, fork_python
from tests.processes import ROOT, Running, Watched, complaints, post, wait_until

PRINTED = {
    "agent": r"""An umbrella for Oslo, a hat for Rome\.
1\. What do I take to Oslo and Rome\? -> answered
2\. sun -> answered
""",
    "assistant": r"""Answer 1, to: What is durable execution\?
Answer 2, to: And why\?
     user: What is durable execution\?
assistant: Answer 1, to: What is durable execution\?
     user: And why\?
assistant: Answer 2, to: And why\?
""",
    "approval": r"""to the boss: 1800 euros for a laptop\? \(awk_[0-9a-f]{8}\.\.\.\)
Order/42 asks: {'item': 'laptop', 'euros': 1800}
at \$\.approved: expected boolean, found str
laptop ordered
""",
    "booking": r"""sam goes to Oslo
cancelled hotel eve
cancelled flight eve
404 no cars in Atlantis
booked: car sam, flight sam, hotel sam
""",
    "signup": r"""to sam@example.com: is this you, sam\?
Signup/sam was already started
thank you
you have been here before
welcome, sam
""",
    "chat": r"""\[the sea \+ in rhymes\]
\[the sea \+ in rhymes \+ a novel \+ a poem\]
a novel: 409
  the sea
  in rhymes
  \[the sea \+ in rhymes\]
  a novel
  \(interrupted\)
  a poem
  \[the sea \+ in rhymes \+ a novel \+ a poem\]
""",
    "fan_out": r"""     a: 8 words
    bb: 12 words
   ccc: 16 words
  dddd: 20 words
 eeeee: 24 words
""",
    "chain": r"""3 x lamp sold \(3 in all\), 7 left in berlin
5 x lamp sold \(8 in all\), 2 left in berlin
9 x lamp sold \(17 in all\), 3 left in berlin
refused: only 0 crates of lamp left
""",
}


@pytest.mark.parametrize("name", PRINTED)
def test_an_example_runs_as_a_program(name: str, tmp_path: Path) -> None:
    with fork_python(str(ROOT / "examples" / f"{name}.py"), cwd=tmp_path) as program:
        assert program.wait_exit() == 0, program.stderr
        assert re.fullmatch(PRINTED[name], sorted_notice(program.stdout)), program.stdout
        assert complaints(program.stderr) == ""


def sorted_notice(printed: str) -> str:
    """Notices first: they are printed by a step, beside what the program prints."""
    return "".join(
        sorted(printed.splitlines(keepends=True), key=lambda line: not line.startswith("to "))
    )


def test_every_example_is_tested() -> None:
    names = {path.stem for path in (ROOT / "examples").glob("*.py")}
    assert {name for name in names if not name.startswith("test_")} == set(PRINTED)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("test_*.py")), ids=lambda path: path.name
)
def test_an_example_of_tests_passes(path: Path) -> None:
    # By its module, whether or not this environment has the entry point installed.
    plugin = ["-p", "no:holdfast", "-p", "holdfast.testing.plugin"]
    command = [sys.executable, "-m", "pytest", "-q", *plugin, "-p", "no:cacheprovider", str(path)]
    with Running(*command, cwd=ROOT) as running:
        assert running.wait_exit() == 0, running.stdout


def serve_example(name: str, directory: Path, **env: str) -> Watched:
    target = str(ROOT / "examples" / f"{name}.py")
    return fork_holdfast("serve", target, "--port", "0", cwd=directory, env=env)


def test_the_assistant_is_served(tmp_path: Path) -> None:
    with serve_example("assistant", tmp_path) as server:
        port = server.wait_port()
        assert post(port, "/Assistant/sam/ask", "Why?") == (200, "Answer 1, to: Why?")
        assert len(post(port, "/Assistant/sam/transcript")[1]) == 2


def test_an_order_waits_for_an_approval_across_a_restart(tmp_path: Path) -> None:
    with serve_example("approval", tmp_path) as server:
        port = server.wait_port()
        order = {"item": "laptop", "euros": 1800}
        assert post(port, "/Order/42/place/send", order)[0] == 202
        wait_until(lambda: approval_of(port) is not None, "the order to wait")
    with serve_example("approval", tmp_path) as server:
        port = server.wait_port()
        wait_until(lambda: approval_of(port) is not None, "the order to wait again")
        path = f"/restate/awakeables/{approval_of(port)}/resolve"
        status, refused = post(port, path, {"approved": "maybe"})
        assert status == 400
        assert "at $.approved: expected boolean, found str" in refused["message"]
        assert post(port, path, {"approved": True})[0] == 202
        wait_until(
            lambda: post(port, "/Order/42/read")[1]["status"] == "laptop ordered", "the order"
        )


def approval_of(port: int) -> object:
    return post(port, "/Order/42/read")[1]["approval"]


def test_a_signup_waits_for_its_user_across_a_restart(tmp_path: Path) -> None:
    with serve_example("signup", tmp_path) as server:
        port = server.wait_port()
        assert post(port, "/Signup/sam/run/send", "sam@example.com")[0] == 202
        wait_until(lambda: post(port, "/Signup/sam/look")[1] != "unknown", "the signup to wait")
    with serve_example("signup", tmp_path) as server:
        port = server.wait_port()
        status, answer = post(port, "/Signup/sam/run/send", "sam@example.com")
        assert (status, answer["status"]) == (202, "PreviouslyAccepted")
        assert post(port, "/Signup/sam/follow_link") == (200, "thank you")
        wait_until(lambda: post(port, "/Signup/sam/look")[1] == "welcome", "the signup to end")


def test_a_fan_out_is_served(tmp_path: Path) -> None:
    with serve_example("fan_out", tmp_path) as server:
        pages = ["a", "bb"]
        assert post(server.wait_port(), "/Digest/make", pages) == (200, {"a": 8, "bb": 12})


def test_an_agent_killed_in_the_middle_pays_for_no_answer_twice(tmp_path: Path) -> None:
    script = [
        together(call_tool("weather", city="Oslo"), call_tool("weather", city="Rome")),
        stall(None, say("lost")),
        say("An umbrella for Oslo, a hat for Rome."),
    ]
    question = "What do I take to Oslo and Rome?"
    with LlmServer(script) as model:
        env = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "any"}
        with serve_example("agent", tmp_path, **env) as server:
            port = server.wait_port()
            assert post(port, "/Agent/sam/ask/send", question, {"idempotency-key": "q"})[0] == 202
            wait_until(lambda: outcomes(model) == ["answered", "stalled"], "the second prompt")
            server.signal(signal.SIGKILL)
            server.wait_exit()
        wait_until(lambda: outcomes(model) == ["answered", "abandoned"], "the model to notice")
        with serve_example("agent", tmp_path, **env) as server:
            answer = post(server.wait_port(), "/Agent/sam/ask", question, {"idempotency-key": "q"})
        assert answer == (200, "An umbrella for Oslo, a hat for Rome.")
        assert len(model.asked(question)) == 1
        interrupted, again = model.requests[1:]
        assert interrupted.body == again.body
        assert interrupted.headers["idempotency-key"] == again.headers["idempotency-key"]


def outcomes(model: LlmServer) -> list[str]:
    return [request.outcome for request in model.requests]


def test_a_model_that_calls_a_tool_wrongly_is_told(tmp_path: Path) -> None:
    script = [
        together(call_tool_raw("weather", "{oh"), call_tool("stocks"), call_tool("weather", x=1)),
        say("Sorry."),
    ]
    with LlmServer(script) as model:
        env = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "any"}
        with serve_example("agent", tmp_path, **env) as server:
            assert post(server.wait_port(), "/Agent/sam/ask", "Well?") == (200, "Sorry.")
        results = [each.text for each in model.requests[1].messages if each.role == "tool"]
        assert [text.startswith("cannot be called like this: ") for text in results] == [True] * 3


def test_the_script_beside_the_agent_is_one_that_it_plays(tmp_path: Path) -> None:
    with LlmServer(read_script(ROOT / "examples" / "agent.json")) as model:
        env = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "any"}
        with serve_example("agent", tmp_path, **env) as server:
            status, answer = post(server.wait_port(), "/Agent/sam/ask", "Oslo?")
        assert (status, answer) == (200, "An umbrella for Oslo, a hat for Rome.")
        model.assert_played()


def test_a_chain_answers_with_the_refusal_of_its_last_link(tmp_path: Path) -> None:
    with serve_example("chain", tmp_path) as server:
        port = server.wait_port()
        assert post(port, "/Shop/berlin/buy", {"item": "lamp", "count": 3})[0] == 200
        status, body = post(port, "/Shop/berlin/buy", {"item": "lamp", "count": 300})
        assert status == 409
        assert "crates of lamp left" in str(body)
