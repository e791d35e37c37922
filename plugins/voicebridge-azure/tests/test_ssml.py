"""Clauses as markup: read back, they are the text."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge_azure.simulator.spoken_text import read_ssml
from voicebridge_azure.ssml import SpokenAs, ssml

JENNY = SpokenAs(voice="en-US-JennyNeural", language="en-US")


def test_as_little_as_it_takes() -> None:
    assert ssml("Hi.", JENNY) == (
        '<speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis" '
        'xmlns:mstts="https://www.w3.org/2001/mstts" xml:lang="en-US">'
        '<voice name="en-US-JennyNeural">Hi.</voice></speak>'
    )


def test_all_there_is() -> None:
    spoken = SpokenAs(
        voice="v", language="de-DE", guided=True, speed=1.25, pitch="+5%", style="cheerful", style_degree=1.5
    )
    inner = ssml("Hi.", spoken).partition('<voice name="v">')[2]
    assert inner == (
        '<lang xml:lang="de-DE"><mstts:express-as style="cheerful" styledegree="1.5">'
        '<prosody rate="+25%" pitch="+5%">Hi.</prosody></mstts:express-as></lang></voice></speak>'
    )


@pytest.mark.parametrize(
    "text",
    ["</voice></speak><speak>", "a & b < c > d", "&amp; &#0; &lol;", "<!ENTITY x>", "]]>", 'it\'s "quoted"', "👋🏽"],
)
def test_nothing_in_a_text_is_markup(text: str) -> None:
    assert read_ssml(ssml(text, JENNY).encode()).text == text


@given(st.text(st.characters()))
def test_any_text_is_a_document(text: str) -> None:
    root = ElementTree.fromstring(ssml(text, JENNY).encode())
    assert len("".join(root.itertext())) == len(text.replace("\r\n", "\n"))


@given(st.text(st.characters(), max_size=40))
def test_any_name_is_an_attribute(name: str) -> None:
    ElementTree.fromstring(ssml("Hi.", SpokenAs(voice=name, language=name)).encode())
