"""Stand-ins for the three services behind a foreign server: speech to text, a model, text to speech, over HTTP.

They speak the OpenAI HTTP interface, with the standard library alone. Whatever the user says, they understand the same:
the speech detection and the wire in front of them are what is of interest.
"""

from __future__ import annotations

import json
import math
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RATE = 24_000
PACE = 1.5
"""Speech comes this many times faster than it plays, so that there is something left to interrupt."""
MS_PER_CHAR = 60
HEARD = "what is the weather in Paris"
ANSWER = "Paris is the capital of France, and about two million people live there, most of them in small flats."


def answer(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> dict[str, Any]:
    """The model: reads out what a tool gave, calls a tool whose last word is said, and else knows one thing."""
    last = messages[-1]
    said = str(last.get("content") or "")
    if last["role"] == "tool":
        return {"content": f"The tool says {said}."}
    for tool in tools:
        name = tool["function"]["name"]
        if last["role"] == "user" and name.split("_")[-1] in said:
            cities = [city for city in ("Paris", "Rome") if city in said] or ["Paris"]
            return {"tool_calls": [call(name, index, city) for index, city in enumerate(cities)]}
    return {"content": ANSWER}


def call(name: str, index: int, city: str) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps({"city": city})}
    return {"index": index, "id": f"call_{index}", "type": "function", "function": function}


def chunks(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A message as the stream of its pieces."""
    if words := message.get("content"):
        for word in words.split(" "):
            yield {"delta": {"role": "assistant", "content": f"{word} "}, "finish_reason": None}
        yield {"delta": {}, "finish_reason": "stop"}
    else:
        yield {"delta": {"role": "assistant", **message}, "finish_reason": None}
        yield {"delta": {}, "finish_reason": "tool_calls"}


class Services(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self) -> None:
        self._json({"object": "list", "data": [{"id": "stub", "object": "model"}]})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/audio/transcriptions"):
            self._json({"text": HEARD})
        elif self.path.endswith("/chat/completions"):
            self._chat(json.loads(body))
        elif self.path.endswith("/audio/speech"):
            self._speak(json.loads(body)["input"])
        else:
            self.send_error(404)

    def _chat(self, asked: dict[str, Any]) -> None:
        message = answer(asked["messages"], asked.get("tools") or [])
        head = {"id": "chat_1", "created": int(time.time()), "model": "stub"}
        usage = {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12}
        if not asked.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
            self._json({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
            return
        head["object"] = "chat.completion.chunk"
        lines = [{**head, "choices": [{"index": 0, **piece}]} for piece in chunks(message)]
        lines.append({**head, "choices": [], "usage": usage})
        self._begin("text/event-stream")
        for line in lines:
            self._piece(f"data: {json.dumps(line)}\n\n".encode())
        self._piece(b"data: [DONE]\n\n")
        self._piece(b"")

    def _speak(self, text: str) -> None:
        self._begin("audio/pcm")
        step = RATE // 5
        for start in range(0, RATE * len(text) * MS_PER_CHAR // 1000, step):
            tone = (int(6_000 * math.sin(2 * math.pi * 220 * at / RATE)) for at in range(start, start + step))
            self._piece(b"".join(struct.pack("<h", sample) for sample in tone))
            time.sleep(step / RATE / PACE)
        self._piece(b"")

    def _json(self, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _begin(self, kind: str) -> None:
        self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _piece(self, data: bytes) -> None:
        """One chunk; an empty one ends the body."""
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, *_: object) -> None:
        """Quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hangs up in the middle of a speech has interrupted it."""


def start() -> str:
    """Serve on a free port until the process ends; the base URL."""
    server = _Server(("127.0.0.1", 0), Services)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/v1"
