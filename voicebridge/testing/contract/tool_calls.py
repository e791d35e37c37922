"""Checks of tools: one call, several, results nobody waits for."""

from __future__ import annotations

from voicebridge.contract.commands import SendToolResult
from voicebridge.contract.errors import ConfigError, Unsupported
from voicebridge.contract.events import ResponseEnded, ResponseStarted, ToolCall

from .conversation import Conversation
from .suite import Bench, check
from .verdict import Broken, NotTried, expect

_ONE = "What is the weather in Paris right now? Use the tool."
_TWO = "What is the weather in Paris, and what is it in Rome? Ask the tool for both cities at once."


async def _calls(bench: Bench, talk: Conversation, count: int) -> list[ToolCall]:
    """Bring about calls in one response, and wait for the response's end where more may come."""
    given = bench.subject.tool_prompt if count == 1 else bench.subject.parallel_prompt
    command = await talk.ask(given or (_ONE if count == 1 else _TWO))
    started = await talk.response_to(command)
    deadline = talk.deadline()
    while len(calls := talk.all(ToolCall, response_id=started.response_id)) < count:
        if talk.all(ResponseEnded, response_id=started.response_id):
            problem = f"the response made {len(calls)} calls, not {count}"
            if given:
                raise Broken(problem)
            raise NotTried(f"{problem}: give a {'tool_prompt' if count == 1 else 'parallel_prompt'} that makes it call")
        await talk.read_until(deadline)
    for call in calls:
        expect(call.name == bench.subject.tool.name, f"it called {call.name!r}, which is no tool of the session")
    return calls


@check("A tool is called, its result is settled, and the answer to it is a response of its own.")
async def tool_round(bench: Bench) -> None:
    """One call, one result, one more response."""
    bench.need(bench.can.tools != "none", "tools is 'none'")
    async with bench.open(tools=(bench.subject.tool,)) as talk:
        (call,) = (await _calls(bench, talk, 1))[:1]
        await talk.send(result := SendToolResult(call_id=call.call_id, output='{"celsius": 21}'))
        await talk.done(result)
        if call.blocking:
            await talk.until(ResponseEnded, response_id=call.response_id)
        started = await talk.until(ResponseStarted, 2)
        if bench.can.tool_reply == "asked":
            expect(result.id in started.answers, f"the answer to the tool does not name its result: {started}")
        await talk.end_of(started)


@check("Of two calls in one response, each has its result, and one response answers both.")
async def parallel_tools(bench: Bench) -> None:
    """Nothing is answered before the last result."""
    bench.need(bench.can.tools != "none", "tools is 'none'")
    async with bench.open(tools=(bench.subject.tool,)) as talk:
        calls = await _calls(bench, talk, 2)
        results = [SendToolResult(call_id=call.call_id, output='{"celsius": 21}') for call in calls]
        for result in results[:-1]:
            await talk.send(result)
            await talk.done(result)
        await talk.quiet()
        expect(len(talk.all(ResponseStarted)) == 1, "a response started before the last call had its result")
        await talk.send(results[-1])
        await talk.done(results[-1])
        started = await talk.until(ResponseStarted, 2)
        if bench.can.tool_reply == "asked":
            missing = [result.id for result in results if result.id not in started.answers]
            expect(not missing, f"the answer to the tools does not name the results {missing}")
        await talk.end_of(started)
        await talk.quiet()
        expect(len(talk.all(ResponseStarted)) == 2 or talk.all(ToolCall)[2:], "two results had two responses")


@check("A result that asks for no answer gets none.")
async def tool_result_without_answer(bench: Bench) -> None:
    """`SendToolResult(respond=False)` is settled, and nothing starts."""
    bench.need(bench.can.tools != "none", "tools is 'none'")
    bench.need(bench.can.tool_reply == "asked", "tool_reply is 'automatic'")
    async with bench.open(tools=(bench.subject.tool,)) as talk:
        for call in await _calls(bench, talk, 1):
            await talk.send(result := SendToolResult(call_id=call.call_id, output="done", respond=False))
            await talk.done(result)
        await talk.quiet()
        expect(len(talk.all(ResponseStarted)) == 1, "a result with respond=False was answered")


@check("A result that no call waits for is refused, or settled with a fault.")
async def unknown_call(bench: Bench) -> None:
    """An invented call id disturbs nothing."""
    bench.need(bench.can.tools != "none", "tools is 'none'")
    async with bench.open(tools=(bench.subject.tool,)) as talk:
        await talk.ready()
        result = SendToolResult(call_id="no-such-call", output="x", is_error=True)
        try:
            await talk.send(result)
        except (ConfigError, Unsupported):
            return
        settled = await talk.settled(result)
        expect(settled.fault, "the result of a call that never was, was settled as if it had been wanted")
        await talk.quiet()
        expect(not talk.all(ResponseStarted), "the result of a call that never was, was answered")
