"""Tokens to text."""

from __future__ import annotations

from pathlib import Path

import pytest

from voicebridge_local.vocabulary import Vocabulary, repeats_itself
from voicebridge_local.weights import installed_folder


def test_a_file_of_lengths_and_bytes(tmp_path: Path) -> None:
    long = b"x" * 300
    pieces = [b"<unk>", b"<s>", b"</s>", "▁Hello".encode(), b",", "▁w".encode(), b"", "ö".encode(), b"<<ST_1>>", long]
    lengths = [bytes([len(piece)]) if len(piece) < 128 else bytes([128 + 300 % 128, 300 // 128]) for piece in pieces]
    path = tmp_path / "tokenizer.bin"
    path.write_bytes(b"".join(length + piece for length, piece in zip(lengths, pieces, strict=True)))
    words = Vocabulary(path)
    assert len(words) == 10
    assert words.text([1, 3, 4, 8, 5, 6, 7, 2]) == "Hello, wö"
    assert words.text([9]) == "x" * 300
    assert words.text([]) == words.text([0, 1, 2]) == words.text([99]) == ""


def test_the_installed_one() -> None:
    assert len(Vocabulary(installed_folder("moonshine_voice") / "assets" / "tiny-en" / "tokenizer.bin")) == 32_768


@pytest.mark.parametrize(
    ("text", "repeats"),
    [
        ("It was the best of times. It was the best of times.", True),
        ("Well, it was the best of times, it was the best of times!", True),
        ("I don't know what I don't know what", True),
        ("It was the best of times, it was the worst of times.", False),
        ("No, no, no, no.", False),
        ("Row, row, row your boat.", False),
        ("", False),
    ],
)
def test_a_text_that_repeats_itself(text: str, repeats: bool) -> None:
    assert repeats_itself(text) is repeats
