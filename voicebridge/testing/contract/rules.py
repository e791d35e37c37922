"""What holds of every conversation, whatever it was about. Each rule is a function of the trace alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from voicebridge.contract.commands import (
    Command,
    EndTurn,
    Interrupt,
    ReportPlayed,
    Respond,
    SendAudio,
    SendText,
    SendToolResult,
)
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    Event,
    InputTranscript,
    OutputAudio,
    OutputHeard,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    SessionReady,
    ToolCall,
    UsageReported,
    UserTurn,
)

from .trace import Trace

__all__ = ["RULES", "broken_rules"]

_ROUNDING_MS = 0.2
"""Of milliseconds that were added up in another order."""
_AHEAD_MS = 100.0
"""By which a turn's place may lie ahead of the audio sent: detectors count in frames of their own."""

Rule = Callable[[Trace], Iterator[str]]


def broken_rules(trace: Trace) -> list[str]:
    """Each breach in a sentence, with the name of its rule before it."""
    return [f"[{name}] {problem}" for name, rule in RULES.items() for problem in rule(trace)]


def _settled_once(trace: Trace) -> Iterator[str]:
    """Each command that was taken is settled once, and nothing else is."""
    counts = Counter(event.command_id for event in trace.events(CommandSettled))
    known = {command.id: command for command in trace.commands("send")}
    taken = {command.id for command in trace.commands("taken")}
    cancelled = {command.id for command in trace.commands("cancelled")}
    for command_id in counts:
        if command_id not in known:
            yield f"{command_id!r} was settled, and no command has that id"
    for command_id, command in known.items():
        name, count = f"{type(command).__name__} {command_id}", counts[command_id]
        if isinstance(command, SendAudio | ReportPlayed):
            if count:
                yield f"{name} was settled; such commands are not"
        elif command_id in taken and count != 1:
            yield f"{name} was settled {count} times, not once"
        elif command_id in cancelled and count > 1:
            yield f"{name}, whose send was cancelled, was settled {count} times"
        elif command_id not in taken | cancelled and count:
            yield f"{name} was refused by send, and settled all the same"


def _responses_end_once(trace: Trace) -> Iterator[str]:
    """Each response starts once and ends once, and what belongs to it comes between the two."""
    started: set[str] = set()
    running: set[str] = set()
    for event in trace.events(Event):
        response_id = getattr(event, "response_id", None)
        if isinstance(event, ResponseStarted):
            if event.response_id in started:
                yield f"{response_id} started twice"
            started.add(event.response_id)
            running.add(event.response_id)
        elif isinstance(event, ResponseEnded):
            if event.response_id not in running:
                yield f"{response_id} ended {'twice' if response_id in started else 'and never started'}"
            running.discard(event.response_id)
        elif isinstance(event, OutputAudio | OutputText | ToolCall) and response_id not in running:
            when = "after its end" if response_id in started else "before its start"
            yield f"{type(event).__name__} of {response_id} came {when}"
        elif isinstance(event, OutputHeard | UsageReported) and response_id and response_id not in started:
            yield f"{type(event).__name__} names {response_id}, which never started"
    for response_id in sorted(running):
        yield f"{response_id} never ended"


def _one_at_a_time(trace: Trace) -> Iterator[str]:
    """A response that is asked for while another runs is held. An aside is beside the conversation."""
    if "full_duplex" in trace.capabilities.turns:
        return
    running: list[str] = []
    for event in trace.events(Event):
        if isinstance(event, ResponseStarted) and not event.aside:
            if running:
                yield f"{event.response_id} started while {running[0]} ran"
            running.append(event.response_id)
        elif isinstance(event, ResponseEnded) and event.response_id in running:
            running.remove(event.response_id)


def _offsets(trace: Trace) -> Iterator[str]:
    """A piece of audio begins where the one before ended, in whole samples."""
    sizes: defaultdict[str, int] = defaultdict(int)
    for event in trace.events(OutputAudio):
        due = trace.output_format.ms(sizes[event.response_id])
        if abs(event.offset_ms - due) > _ROUNDING_MS:
            yield f"audio of {event.response_id} is placed at {event.offset_ms:.2f} ms, and {due:.2f} ms came before it"
            return
        if len(event.pcm) % trace.output_format.frame_bytes:
            yield f"a piece of {event.response_id} of {len(event.pcm)} bytes ends in the middle of a sample"
            return
        sizes[event.response_id] += len(event.pcm)
    for text in trace.events(OutputText):
        if text.start_ms is not None and text.end_ms is not None and not 0 <= text.start_ms <= text.end_ms:
            yield f"text of {text.response_id} is placed from {text.start_ms} to {text.end_ms} ms"


def _silent_after_interrupt(trace: Trace) -> Iterator[str]:
    """Once `send(Interrupt)` has returned, no audio of what it stops is delivered."""
    silenced: set[str] = set()
    withdrawn: set[str] = set()
    open_requests: set[str] = set()
    started: set[str] = set()
    for line in trace.lines:
        message = line.message
        if line.kind == "taken" and isinstance(message, Interrupt):
            silenced |= started if message.response_id is None else {message.response_id}
            withdrawn |= open_requests if message.response_id is None else set()
        elif line.kind == "taken" and isinstance(message, Command) and _asks(message):
            open_requests.add(message.id)
        elif isinstance(message, ResponseStarted):
            started.add(message.response_id)
            if not open_requests.isdisjoint(message.answers) and withdrawn.issuperset(_commands(trace, message)):
                silenced.add(message.response_id)
            open_requests -= set(message.answers)
        elif isinstance(message, OutputAudio) and message.response_id in silenced:
            yield f"audio of {message.response_id} came after the Interrupt that stopped it"
            return


def _asks(command: Command) -> bool:
    if isinstance(command, SendText | SendToolResult | EndTurn):
        return command.respond
    return isinstance(command, Respond)


def _commands(trace: Trace, started: ResponseStarted) -> set[str]:
    return {command.id for command in trace.commands("send")} & set(started.answers)


def _known_ids(trace: Trace) -> Iterator[str]:
    """An id that is named was told or given before."""
    commands, turns, calls = set[str](), set[str](), set[str]()
    for line in trace.lines:
        message = line.message
        if line.kind == "send" and isinstance(message, Command):
            commands.add(message.id)
        elif isinstance(message, UserTurn):
            turns.add(message.turn_id)
        elif isinstance(message, InputTranscript):
            if message.turn_id not in turns:
                yield f"a transcript names the turn {message.turn_id!r}, which was never told"
        elif isinstance(message, ResponseStarted):
            for answered in message.answers:
                if answered not in commands | turns:
                    yield f"{message.response_id} answers {answered!r}, which is no command and no turn"
        elif isinstance(message, ToolCall):
            if message.call_id in calls:
                yield f"the call id {message.call_id!r} is used twice"
            calls.add(message.call_id)


def _committed_first(trace: Trace) -> Iterator[str]:
    """A turn of the user is committed before the response that answers it starts."""
    if "full_duplex" in trace.capabilities.turns:
        return
    phases: dict[str, str] = {}
    for event in trace.events(Event):
        if isinstance(event, UserTurn):
            phases[event.turn_id] = event.phase
        elif isinstance(event, ResponseStarted):
            for turn_id in phases.keys() & set(event.answers):
                if phases[turn_id] != "committed":
                    yield f"{event.response_id} answers {turn_id}, which was not yet committed: {phases[turn_id]!r}"


_FOLLOWS = {
    None: {"speech", "committed", "discarded"},
    "speech": {"pause", "committed", "discarded"},
    "pause": {"speech", "committed", "discarded"},
}


def _turns(trace: Trace) -> Iterator[str]:
    """speech, then pause and speech any number of times, then committed or discarded, once; text follows its turn."""
    phases: dict[str, str] = {}
    last_ms: dict[str, float] = {}
    final: set[str] = set()
    sent_bytes = 0
    for line in trace.lines:
        message = line.message
        if line.kind == "send" and isinstance(message, SendAudio):
            sent_bytes += len(message.pcm)
        elif isinstance(message, UserTurn):
            turn_id, before = message.turn_id, phases.get(message.turn_id)
            if message.phase not in _FOLLOWS.get(before, ()):
                yield f"turn {turn_id}: {message.phase!r} came after {before!r}"
            sent_ms = trace.input_format.ms(sent_bytes)
            if not 0 <= message.audio_ms <= sent_ms + _AHEAD_MS:
                place = f"{message.audio_ms:.0f} ms of {sent_ms:.0f} ms sent"
                yield f"turn {turn_id}: {message.phase!r} is placed at {place}"
            if message.audio_ms < last_ms.get(turn_id, 0.0) - _ROUNDING_MS:
                yield f"turn {turn_id}: {message.phase!r} at {message.audio_ms:.0f} ms lies before the phase before it"
            phases[turn_id], last_ms[turn_id] = message.phase, message.audio_ms
        elif isinstance(message, InputTranscript):
            if message.turn_id in final:
                yield f"turn {message.turn_id}: a transcript came after the final one"
            if message.final:
                final.add(message.turn_id)
            elif message.fault:
                yield f"turn {message.turn_id}: a transcript that is not final holds a fault"


def _heard(trace: Trace) -> Iterator[str]:
    """Nobody heard more of a response than there was."""
    received: defaultdict[str, int] = defaultdict(int)
    for event in trace.events(Event):
        if isinstance(event, OutputAudio):
            received[event.response_id] += len(event.pcm)
    interrupted = bool(list(trace.commands("taken")) and any(isinstance(c, Interrupt) for c in trace.commands("taken")))
    for heard in trace.events(OutputHeard):
        most_ms = trace.output_format.ms(received[heard.response_id])
        if heard.heard_ms < 0 or (
            heard.heard_ms > most_ms + _ROUNDING_MS and not interrupted and not _cut(trace, heard)
        ):
            yield f"of {heard.response_id} {heard.heard_ms:.0f} ms were heard, and {most_ms:.0f} ms were delivered"


def _cut(trace: Trace, heard: OutputHeard) -> bool:
    """Audio of that response may have been dropped before it was delivered."""
    ended = trace.events(ResponseEnded, response_id=heard.response_id)
    return not ended or ended[0].status != "completed"


def _ready_once(trace: Trace) -> Iterator[str]:
    """`SessionReady` comes once, and before whatever a conversation is made of."""
    count = 0
    for event in trace.events(Event):
        if isinstance(event, SessionReady):
            count += 1
        elif not count and isinstance(event, UserTurn | InputTranscript | ResponseStarted | OutputAudio | ToolCall):
            yield f"{type(event).__name__} came before SessionReady"
            return
    if count > 1:
        yield f"SessionReady came {count} times"


def _end(trace: Trace) -> Iterator[str]:
    """A fatal error is the last event, and the iterator then raises; only our own close just stops it."""
    events = trace.events(Event)
    fatal = [n for n, event in enumerate(events) if isinstance(event, BackendError) and event.fatal]
    if fatal and fatal[0] != len(events) - 1:
        yield f"{type(events[fatal[0] + 1]).__name__} came after a fatal BackendError"
    if trace.ending == "failed" and not fatal:
        yield "the iterator raised SessionFailed, and no fatal BackendError came before it"
    if trace.ending == "stopped" and fatal:
        yield "the iterator just stopped after a fatal BackendError: it must raise SessionFailed"
    if trace.ending == "stopped" and not trace.closed_by_us:
        yield "the iterator just stopped, and nobody had closed the session"
    if trace.ending == "other":
        yield f"the iteration ended in another way: {trace.lines[-1].text}"


def _stamps(trace: Trace) -> Iterator[str]:
    """Every event has a time, and none lies before the one before it."""
    last = float("-inf")
    for event in trace.events(Event):
        if trace.real_time and event.at == 0:
            yield f"{type(event).__name__} has no time (`at` is 0)"
            return
        if event.at < last:
            yield f"{type(event).__name__} is stamped {event.at:.6f}, and the event before it {last:.6f}"
            return
        last = event.at


def _as_declared(trace: Trace) -> Iterator[str]:
    """What a session declares not to do, it does not do; what it declares in one way, it does in that way."""
    can = trace.capabilities
    spoken = [text for text in trace.events(OutputText) if text.kind != "thought"]
    seen = {
        "outputs has no 'audio'": "audio" not in can.outputs and trace.events(OutputAudio),
        "outputs has no 'text'": "text" not in can.outputs and trace.events(OutputText, kind="text"),
        "tools is 'none'": can.tools == "none" and trace.events(ToolCall),
        "input_transcript is 'none'": can.input_transcript == "none" and trace.events(InputTranscript),
        "usage is 'none'": can.usage == "none" and trace.events(UsageReported),
        "usage is 'exact'": can.usage == "exact" and trace.events(UsageReported, basis="estimated"),
        "alignment is 'none'": can.alignment == "none" and [text for text in spoken if text.start_ms is not None],
        "response_bounds is 'reported'": can.response_bounds == "reported"
        and trace.events(ResponseStarted, bounds="inferred"),
        "speech_events is 'reported'": can.speech_events == "reported"
        and trace.events(UserTurn, phase="speech", source="inferred"),
    }
    for declared, against in seen.items():
        if against:
            yield f"{declared}, and yet: {against[0]}"
    for usage in trace.events(UsageReported):
        if not usage.model or any(amount < 0 for amount in usage.units.values()):
            yield f"usage names no model, or less than nothing: {usage}"


def _usage(trace: Trace) -> Iterator[str]:
    """Where usage is declared each complete response has some, and it comes before what closes what it names."""
    if trace.capabilities.usage == "none":
        return
    counted: set[str | None] = set()
    closed: set[str | None] = set()
    for event in trace.events(Event):
        if isinstance(event, UsageReported):
            counted.add(event.response_id)
            if not trace.late_usage and (late := {event.response_id, event.turn_id} & closed):
                yield f"usage of {late.pop()} came after its end"
        elif isinstance(event, ResponseEnded) and event.status == "completed":
            closed.add(event.response_id)
            if not trace.late_usage and event.response_id not in counted:
                yield f"usage is {trace.capabilities.usage!r}, and {event.response_id} was complete without any"
        elif isinstance(event, InputTranscript) and event.final:
            closed.add(event.turn_id)
    if trace.late_usage and closed and not counted:
        yield f"usage is {trace.capabilities.usage!r}, and none was reported"


RULES: dict[str, Rule] = {
    "ready once": _ready_once,
    "end": _end,
    "settled once": _settled_once,
    "responses end once": _responses_end_once,
    "one response at a time": _one_at_a_time,
    "offsets": _offsets,
    "silent after Interrupt": _silent_after_interrupt,
    "known ids": _known_ids,
    "turns": _turns,
    "committed first": _committed_first,
    "heard": _heard,
    "time stamps": _stamps,
    "as declared": _as_declared,
    "usage": _usage,
}
"""By name. What explains other breaches comes first."""
