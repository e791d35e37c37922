"""A recogniser by upload before a web server: what is sent at which mark, and what is made of the answers."""

from __future__ import annotations

import asyncio
import json
import math
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any

import pytest

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.stages import PCM_16K, Mark, SpeechToTextTraits, Transcript, Usage, Word
from voicebridge.testing.guards import no_leaked_sockets, no_leaked_tasks
from voicebridge.transport.body import Body, JsonBody
from voicebridge.transport.http import HttpApi, HttpCall
from voicebridge.transport.upload_cuts import first_part, goes_on
from voicebridge.transport.upload_recogniser import HeardUpTo, UploadRecogniser

from .web import Asked, Web, plain, web


def tone(ms: float, loud: float = 9000) -> bytes:
    return b"".join(struct.pack("<h", int(loud * math.sin(n / 4))) for n in range(int(16 * ms)))


def silence(ms: float) -> bytes:
    return bytes(PCM_16K.size(ms))


class Uploaded:
    """The simplest requests there can be: samples in, `{"text", "upto", "words"}` out."""

    made = 0
    checked = 0

    def __init__(self, url: str, config: SessionConfig) -> None:
        if config.language == "xx":
            raise ConfigError("no such language")
        self.language = config.language or "en"
        self.api = HttpApi(url, headers={}, idle_s=30)

    async def call(self, pcm: bytes) -> HttpCall:
        return HttpCall(path=self.language, content=pcm)

    def body(self, pcm: bytes, mark: int) -> Body[Transcript | Usage | HeardUpTo]:
        return JsonBody(lambda answer: self._read(answer, pcm, mark))

    def _read(self, answer: Any, pcm: bytes, mark: int) -> Iterable[Transcript | Usage | HeardUpTo]:
        yield Usage({"audio_s": PCM_16K.ms(len(pcm)) / 1000})
        if "upto" in answer:
            yield HeardUpTo(answer["upto"])
        words = tuple(Word(*word) for word in answer.get("words", ()))
        yield Transcript(answer["text"], final=True, mark=mark, words=words, language=self.language)


class Checked(Uploaded):
    async def check(self) -> None:
        async for _ in self.api.ask(HttpCall(path="check"), JsonBody(lambda answer: [answer])):
            pass

    async def get_ready(self) -> None:
        await self.api.get_ready()


def recogniser(server: Web, longest_ms: float = math.inf, kind: type[Uploaded] = Uploaded) -> UploadRecogniser:
    return UploadRecogniser(
        lambda config: kind(server.url, config), SpeechToTextTraits(recheck="paid"), longest_ms=longest_ms
    )


async def heard(stage: UploadRecogniser, *pieces: bytes | Mark) -> list[Transcript | Usage]:
    async def audio() -> AsyncIterator[bytes | Mark]:
        for piece in pieces:
            yield piece

    async with aclosing(stage.listen(audio())) as outputs:
        return [output async for output in outputs]


def texts(outputs: list[Any]) -> list[tuple[int | None, str]]:
    return [(one.mark, one.text) for one in outputs if isinstance(one, Transcript)]


async def lengths(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(json.dumps({"text": f"{PCM_16K.ms(len(asked.body)):.0f} ms"}).encode()))


async def test_each_mark_sends_all_since_the_last_fresh_one() -> None:
    async with no_leaked_tasks(), web(lengths) as server:
        stage = recogniser(server)
        outputs = await heard(
            stage, tone(300), Mark(1), tone(200), Mark(2, fresh=True), tone(100), Mark(3, fresh=True), Mark(4)
        )
        await stage.aclose()
    assert texts(outputs) == [(1, "300 ms"), (2, "500 ms"), (3, "100 ms"), (4, "")]
    assert len(server.asked) == 3
    assert sum(one.units["audio_s"] for one in outputs if isinstance(one, Usage)) == pytest.approx(0.9)


async def test_what_nobody_wants_costs_nothing() -> None:
    async with web(lengths) as server:
        stage = recogniser(server)
        outputs = await heard(stage, tone(300), Mark(1, fresh=True, wanted=False), tone(200), Mark(2, fresh=True))
        await stage.aclose()
    assert texts(outputs) == [(2, "200 ms")]
    assert len(server.asked) == 1


async def test_what_is_too_long_goes_in_parts_cut_at_pauses_and_is_settled_once() -> None:
    speech = tone(700) + silence(300) + tone(800)
    async with web(lengths) as server:
        stage = recogniser(server, longest_ms=1500)
        outputs = await heard(stage, speech, Mark(1), tone(100), Mark(2, fresh=True), tone(100), Mark(3))
        await stage.aclose()
    sent = [PCM_16K.ms(len(one.body)) for one in server.asked]
    assert 700 < sent[0] < 1000
    assert sent[1:] == [1800 - sent[0], 1900 - sent[0], 100]
    assert texts(outputs)[2] == (3, "100 ms")
    assert texts(outputs)[1] == (2, f"{sent[0]:.0f} ms {1900 - sent[0]:.0f} ms")


async def test_what_lies_behind_a_pause_that_ended_the_answer_is_sent_again() -> None:
    async def until_the_pause(asked: Asked, writer: asyncio.StreamWriter) -> None:
        first = b'{"text": "first,", "upto": 500, "words": [["first,", 0, 500]]}'
        writer.write(plain(first if len(server.asked) == 1 else b'{"text": "second", "words": [["second", 100, 400]]}'))

    async with web(until_the_pause) as server:
        stage = recogniser(server)
        [transcript] = [
            one
            for one in await heard(stage, tone(500), silence(900), tone(400), Mark(1, fresh=True))
            if isinstance(one, Transcript)
        ]
        await stage.aclose()
    assert (transcript.text, transcript.final, transcript.mark) == ("first, second", True, 1)
    assert transcript.words == (Word("first,", 0, 500), Word("second", 600, 900))
    assert [PCM_16K.ms(len(one.body)) for one in server.asked] == [1800, 1300]


@pytest.mark.parametrize(
    ("rest", "upto"),
    [(silence(900), 500), (tone(900, 500), 500), (tone(60), 500), (tone(900), 0), (tone(900), -5), (tone(900), 1e400)],
    ids=["silence", "murmur", "click", "nothing-heard", "negative", "endless"],
)
async def test_a_rest_in_which_nobody_speaks_costs_nothing(rest: bytes, upto: float) -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(json.dumps({"text": "all", "upto": upto}).encode().replace(b"Infinity", b"1e308")))

    async with web(answer) as server:
        stage = recogniser(server)
        assert texts(await heard(stage, tone(500), rest, Mark(1))) == [(1, "all")]
        await stage.aclose()
    assert len(server.asked) == 1


async def test_settings_change_for_the_next_upload_and_those_at_work_end_in_peace() -> None:
    go_on = asyncio.Event()

    async def slow(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.target == "/v1/en":
            await go_on.wait()
        writer.write(plain(json.dumps({"text": asked.target}).encode()))

    async with no_leaked_tasks(), no_leaked_sockets(), web(slow) as server:
        stage = recogniser(server)
        stage.configure(SessionConfig(language="en"))
        first = asyncio.ensure_future(heard(stage, tone(300), Mark(1, fresh=True)))
        await server.came.wait()
        stage.configure(SessionConfig(language="de"))
        await stage.get_ready()
        go_on.set()
        assert texts(await first) == [(1, "/v1/en")]
        await stage.get_ready()
        assert texts(await heard(stage, tone(300), Mark(2))) == [(2, "/v1/de")]
        await stage.aclose()
        await stage.aclose()


async def test_settings_that_do_not_fit_leave_those_before() -> None:
    async with web(lengths) as server:
        stage = recogniser(server)
        stage.configure(SessionConfig(language="de"))
        with pytest.raises(ConfigError):
            stage.configure(SessionConfig(language="xx"))
        await heard(stage, tone(300), Mark(1))
        await stage.aclose()
    assert server.asked[0].target == "/v1/de"


async def test_warming_up_asks_where_the_requests_can_be_checked() -> None:
    async def refuses(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(b"{}", 401))

    async with no_leaked_tasks(), web(refuses) as server:
        stage = recogniser(server, kind=Checked)
        with pytest.raises(VoiceBridgeError) as error:
            await stage.warm()
        assert error.value.fault.category == "auth"
        await stage.aclose()
        stage = recogniser(server)
        await stage.warm()
        await stage.aclose()
    assert [one.target for one in server.asked] == ["/v1/check"]


async def test_a_failure_is_told_and_the_next_utterance_is_heard() -> None:
    async def fails_once(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if len(server.asked) == 1:
            writer.write(plain(b"{}", 503))
        else:
            await lengths(asked, writer)

    async with web(fails_once) as server:
        stage = recogniser(server)
        with pytest.raises(VoiceBridgeError):
            await heard(stage, tone(300), Mark(1))
        assert texts(await heard(stage, tone(300), Mark(2))) == [(2, "300 ms")]
        await stage.aclose()


@pytest.mark.parametrize("longest_ms", [100, 1000, 11_000, 58_000])
def test_a_part_is_never_longer_than_may_be_sent_and_never_empty(longest_ms: float) -> None:
    for pcm in (tone(longest_ms + 500), silence(longest_ms * 2), tone(longest_ms), tone(20)):
        size = first_part(pcm, longest_ms)
        assert 0 < size <= PCM_16K.size(longest_ms)
        assert size % 2 == 0
        assert size == len(pcm) or len(pcm) > PCM_16K.size(longest_ms)


def test_who_goes_on_is_about_as_loud_as_before() -> None:
    assert goes_on(silence(500) + tone(300), tone(500))
    assert not goes_on(tone(300, 1000), tone(500))
    assert goes_on(tone(300, 1000), tone(500, 1000))
    assert not goes_on(b"", tone(500))
    assert not goes_on(tone(300, 30), silence(100))
