"""What a voice should say of what a model writes: Markdown, code, tags, addresses and emoji become plain words.

    # Heading, > quote, - item       the words; the line ends a clause
    **bold**, _it_, ~~no~~, `x`      the words
    ```code```                       nothing, fence to fence
    [words](https://...), ![alt](x)  the words in brackets
    https://www.example.com/a?b=c    example.com
    word[1], word[^note]             the word
    <b>, <br/>, <!-- -->             nothing; `a < b`, `List<int>` and `<bob@example.com>` stay words
    | a | b |                        a, b
    &amp;                            &
    emoji                            nothing; ☎ and ✓ are emoji, ° and © are not

Takes text as it comes and holds back as little as it can: how the text was cut on its way makes no difference. A `*`
between numbers (`2*3`) and a `_` within a word (`snake_case`) are no mark-up. Square brackets stay: some voices act on
`[laughs]`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from urllib.parse import urlsplit

__all__ = ["SpeakableText"]

_EMOJI = (
    "\u200d\ufe0f\u20e3\u2139\u2190-\u21ff\u231a\u231b\u2328\u23cf\u23e9-\u23fa\u24c2\u25aa\u25ab\u25b6\u25c0\u25fb-\u25fe"
    "\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff\U000e0020-\U000e007f"
)
"""And what joins and varies them; the joiner is dropped only after one (Hindi and Persian write with it)."""
_SPECIAL = re.compile(rf"[\n*_`~\[<&|h!{_EMOJI}]")
_LINE_PREFIX = re.compile(r"[ \t]*(?:(?:#{1,6}|>+|[-+*•](?:[ \t]+\[[ xX]\])?)[ \t]+)*")
_LINE_PREFIX_BEGINS = re.compile(r"[ \t#>\-+*•\[xX\]]*\Z")
_RULE = re.compile(r"[ \t]*(?:[-*_=][ \t]*){3,}(?=\n)|[ \t]*\|?[ \t]*:?-{2,}[-| \t:]*(?=\n)")
_RULE_BEGINS = re.compile(r"[ \t|:\-*_=]*\Z")
_FENCE = re.compile(r"[ \t]*(?:[-+*•>][ \t]+)*(`{3,}(?=[^`\n]*\n)|~{3,}(?=[^\n]*\n))")
"""The line that opens code, also in a list. What has backticks behind its fence is code within a line."""
_FENCE_BEGINS = re.compile(r"[ \t]*(?:[-+*•>][ \t]+)*(?:`{1,2}|~{1,2}|`{3,}[^`\n]*|~{3,}[^\n]*)?\Z")
_LINK = re.compile(r"\[((?:[^\[\]\n]|\[[^\[\]\n]*\])*)\]\(([^()\n]|\([^()\n]*\))*\)")
_FOOTNOTE = re.compile(r"\[(\^[^\[\]\n]*|\d+(?:[,–-] ?\d+)*)\](?!\()")
_TAG = re.compile(
    r"<(?:/?(?:a|abbr|audio|b|big|blockquote|body|br|button|center|cite|code|dd|del|details|div|dl|dt|em|figure|font|h[1-6]"
    r"|head|hr|html|i|img|input|ins|kbd|label|li|link|mark|meta|ol|p|pre|q|s|samp|script|section|small|span|strike|strong"
    r"|style|sub|summary|sup|table|tbody|td|th|thead|title|tr|tt|u|ul|var|video)(?:[ \t]*/?|[ \t]+[\w:-]+=[^<>\n]*)"
    r"|/?[A-Za-z][\w-]*[ \t]+[\w:-]+=[^<>\n]*|!--.*?--|!DOCTYPE[^<>\n]*)>",
    re.DOTALL | re.IGNORECASE,
)
_BREAK = re.compile(r"<(?:br|hr|/(?:p|div|li|tr|td|th|h[1-6]|dt|dd))\b", re.IGNORECASE)
"""Tags that part words."""
_AUTOLINK = re.compile(r"<([a-z]+://[^\s<>]*|[^\s<>@]+@[^\s<>@]+)>", re.IGNORECASE)
_URL = re.compile(r"https?://[^\s<>\"`|\[\]]*")
_URL_BEGINS = re.compile(r"h(?:t(?:t(?:p(?:s?(?::(?:/(?:/[^\s<>\"`|\[\]]*)?)?)?)?)?)?)?\Z")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[A-Za-z]{2,12});")
_ENTITY_BEGINS = re.compile(r"&(?:#?[0-9A-Za-z]{0,12})\Z")
_AFTER_URL = ".,;:!?)'…"
_LONGEST = 300
"""Characters that are held back at most, to see what they become."""

_Taken = tuple[str, int]
"""What is spoken of the next characters, and how many these are."""


class SpeakableText:
    """A filter for one answer."""

    def __init__(self) -> None:
        self._held = ""
        self._before = "\n"
        """The last character taken, and the last one spoken."""
        self._spoke = "\n"
        self._dropped = False
        """Something has been dropped since the last one spoken: of the spaces around it, one is enough."""
        self._at_line_start = True
        self._fence = ""
        self._in_row = False
        self._handlers: dict[str, Callable[[bool], _Taken | None]] = {
            "\n": self._line_end,
            "*": self._emphasis,
            "_": self._emphasis,
            "~": self._strike,
            "`": lambda final: ("", 1),
            "[": self._bracket,
            "<": self._tag,
            "!": self._image,
            "&": self._entity,
            "|": self._cell,
            "h": self._url,
        }

    def feed(self, text: str) -> str:
        """Take the next piece. Gives what can be spoken by now."""
        return self._take(text, final=False)

    def flush(self) -> str:
        """What was held back, at the end of the text."""
        return self._take("", final=True)

    def _take(self, text: str, *, final: bool) -> str:
        self._held += text
        spoken: list[str] = []
        while self._held:
            # What is longer than anything that it may become is what it looks like.
            taken = self._next(final or len(self._held) > _LONGEST)
            if taken is None:
                break
            words, size = taken
            self._before, self._held = self._held[size - 1] if size else self._before, self._held[size:]
            if words := self._joined(words):
                spoken.append(words)
        return "".join(spoken)

    def _joined(self, words: str) -> str:
        if not words:
            self._dropped = True
            return ""
        if self._dropped and self._spoke.isspace() and words[0] == " ":
            words = words.lstrip(" ")
        if words:
            self._spoke, self._dropped = words[-1], False
        return words

    def _next(self, final: bool) -> _Taken | None:
        """What comes of the beginning of what is held; None: more text may change it."""
        if self._fence:
            return self._code(final)
        if self._at_line_start:
            return self._line_start(final)
        char = self._held[0]
        if handler := self._handlers.get(char):
            return handler(final)
        if _SPECIAL.match(char):
            return self._emoji(char)
        found = _SPECIAL.search(self._held)
        size = found.start() if found else len(self._held)
        return self._held[:size], size

    # Lines

    def _line_start(self, final: bool) -> _Taken | None:
        held = self._held
        if not final and (_FENCE_BEGINS.match(held) or _RULE_BEGINS.match(held) or _LINE_PREFIX_BEGINS.match(held)):
            return None
        if found := _FENCE.match(held):
            self._fence = found[1]
            return "", found.end()
        self._at_line_start = False
        if found := _RULE.match(held + "\n" if final else held):
            return "", min(found.end(), len(held))
        prefix = _LINE_PREFIX.match(held)
        size = prefix.end() if prefix else 0
        self._in_row = held[size : size + 1] == "|"
        size += self._in_row
        if self._in_row or held[:size].strip():
            return "", size
        return (held[:size], size) if size else self._next(final)

    def _line_end(self, final: bool) -> _Taken:
        self._at_line_start, self._in_row = True, False
        return "\n", 1

    def _code(self, final: bool) -> _Taken | None:
        """Skip to the end of the fence, which is a line of its own."""
        line, end, _ = self._held.partition("\n")
        if not end and not final:
            return None if self._at_line_start and len(line) < _LONGEST else self._skipped(line)
        if self._at_line_start and line.strip().startswith(self._fence) and not line.strip().strip(self._fence[0]):
            self._fence = ""
            return "", len(line)
        taken = self._skipped(line + end)
        self._at_line_start = bool(end)
        return taken

    def _skipped(self, text: str) -> _Taken | None:
        if text:
            self._at_line_start = False
        return ("", len(text)) if text else None

    def _cell(self, final: bool) -> _Taken | None:
        if not self._in_row:
            return "|", 1
        rest = self._held[1:].lstrip(" \t")
        if not rest and not final:
            return None
        return ("" if not rest or rest[0] == "\n" else ","), 1

    # Words

    def _emphasis(self, final: bool) -> _Taken | None:
        char = self._held[0]
        run = len(self._held) - len(self._held.lstrip(char))
        if run == len(self._held) and not final:
            return None
        after = self._held[run : run + 1] or " "
        within = self._before.isalnum() and after.isalnum()
        keeps = within and (char == "_" or (self._before.isdigit() and after.isdigit()))
        alone = self._before.isspace() and after.isspace() and char == "*" and run == 1
        return (char * run if keeps or alone else ""), run

    def _strike(self, final: bool) -> _Taken | None:
        run = len(self._held) - len(self._held.lstrip("~"))
        if run == len(self._held) and not final:
            return None
        return ("~" if run == 1 else ""), run

    def _bracket(self, final: bool) -> _Taken | None:
        held = self._held
        if found := _LINK.match(held):
            return self._plain(found[1]), found.end()
        closed = "\n" in held or ("]" in held and held.count("]") >= held.count("[") and not held.endswith("]"))
        if not final and not (closed and "](" not in held.partition("\n")[0]) and "\n" not in held:
            return None
        if (found := _FOOTNOTE.match(held)) and not self._before.isspace():
            return "", found.end()  # behind a word; with a space before it, it is one
        return "[", 1

    def _plain(self, words: str) -> str:
        """The words of a link, without mark-up of their own."""
        inner = SpeakableText()
        inner._at_line_start = False
        return inner.feed(words) + inner.flush()

    def _tag(self, final: bool) -> _Taken | None:
        held = self._held
        if found := _AUTOLINK.match(held):
            return (found[1] if "@" in found[1] else _host(found[1])), found.end()
        if found := _TAG.match(held):
            parts = _BREAK.match(found[0]) and not self._spoke.isspace()
            return (" " if parts else ""), found.end()
        may_be = len(held) == 1 or held[1].isalpha() or held[1] in "/!"
        open_yet = may_be and (held.startswith("<!--") or not any(char in held[1:] for char in "<\n"))
        return None if open_yet and not final else ("<", 1)

    def _image(self, final: bool) -> _Taken | None:
        """Of a picture, what it is called. A mark behind a word is one: it is not waited for what follows."""
        if not self._before.isspace():
            return "!", 1
        if self._held == "!" and not final:
            return None
        return ("" if self._held[1:2] == "[" else "!"), 1

    def _entity(self, final: bool) -> _Taken | None:
        if found := _ENTITY.match(self._held):
            return html.unescape(found[0]).replace("\xa0", " "), found.end()
        return None if _ENTITY_BEGINS.match(self._held) and not final else ("&", 1)

    def _url(self, final: bool) -> _Taken | None:
        if self._before.isalnum():
            return "h", 1
        if _URL_BEGINS.match(self._held) and not final:
            return None
        found = _URL.match(self._held)
        if found is None:
            return "h", 1
        address = found[0].rstrip(_AFTER_URL)
        return _host(address) or self._held[: len(address)], len(address)

    def _emoji(self, char: str) -> _Taken:
        joins = char == "\u200d" and not _SPECIAL.match(self._before)
        return (char if joins else ""), 1


def _host(address: str) -> str:
    """How people say an address: its host."""
    try:
        return (urlsplit(address).hostname or "").removeprefix("www.")
    except ValueError:
        return ""
