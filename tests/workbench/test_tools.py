from __future__ import annotations

from .prompted import in_job, in_request, request, rules_of

TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in ("a", "b", "c")]


def test_tools_in_another_order_are_found() -> None:
    assert "HW203" in rules_of(in_job(request(tools=TOOLS), request(tools=TOOLS[::-1])))
    assert "HW203" not in rules_of(
        in_job(request(tools=TOOLS), request(tools=TOOLS), request(tools=TOOLS[:2]))
    )


TOOL = {
    "name": "look",
    "description": "Looks up the order of a customer. " * 5,
    "input_schema": {"type": "object"},
}


def test_tools_that_are_forbidden_are_found() -> None:
    assert "HW306" in rules_of(in_request(request(tools=[TOOL], tool_choice={"type": "none"})))
    assert "HW306" not in rules_of(in_request(request(tools=[TOOL], tool_choice={"type": "auto"})))


def test_tools_that_a_long_job_never_calls_are_found() -> None:
    idle = TOOL | {"name": "idle"}
    use = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "look", "input": {}}]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]}
    asked = request(tools=[TOOL, idle])
    turn = asked | {"messages": [*asked["messages"], use, result]}
    (one,) = [each for each in in_job(*[turn] * 25) if each.rule == "HW306"]
    assert "idle" in one.reason
    assert "look" not in one.reason
    assert "HW306" not in rules_of(in_job(*[turn] * 5))
