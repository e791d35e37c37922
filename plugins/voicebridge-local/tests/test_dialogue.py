"""A conversation as text."""

from __future__ import annotations

import re

from voicebridge.contract.items import Item, MessageItem, ToolCallItem, ToolResultItem
from voicebridge_local.dialogue import GRAMMAR, OPENERS, STOPS, begun, head, written


def talk(turns: int) -> list[Item]:
    items: list[Item] = []
    for number in range(turns):
        items.append(MessageItem(role="user", text=f"question {number}"))
        items.append(MessageItem(role="assistant", text=f"answer {number}."))
    return items


def asked(text: str) -> MessageItem:
    return MessageItem(role="user", text=text)


def test_it_ends_where_the_assistant_goes_on() -> None:
    text = written([*talk(1), asked("And now?")], "Be brief.")
    assert text.startswith(head("Be brief."))
    assert "Be brief." in text
    assert text.endswith("Person: question 0\nAssistant: answer 0.\nPerson: And now?\nAssistant:")


def test_a_message_is_one_line_and_not_too_long() -> None:
    text = written([asked("one\ntwo\r\n\tthree  four")])
    assert "Person: one two three four\nAssistant:" in text
    long = written([asked("word " * 1_000)])
    assert len(long) < len(head()) + 700
    assert len(written([asked("x" * 5_000)])) < len(head()) + 700
    assert len(head("y " * 5_000)) < len(head()) + 900


def test_what_was_read_ahead_is_how_it_begins() -> None:
    for turns in range(12):
        history = talk(turns)
        for said in ("I", "I am", "I am here and"):
            whole = written([*history, asked("I am here and listening.")], "Be kind.")
            assert whole.startswith(begun([*history, asked(said)], "Be kind."))


def test_before_the_first_word_it_is_the_history() -> None:
    """Of a history that does not grow out of what is kept; else the model reads it anew once in four turns."""
    for turns in (0, 1, 3, 5):
        assert written([*talk(turns), asked("Hello.")]).startswith(begun(talk(turns)))


def test_old_turns_are_left_out_four_at_a_time() -> None:
    firsts = []
    for turns in range(1, 20):
        text = written([*talk(turns - 1), asked(f"question {turns - 1}")])
        kept = re.findall(r"^Person: question (\d+)$", text, re.MULTILINE)
        assert 1 <= len(kept) <= 7
        assert len(kept) >= min(turns, 4)
        firsts.append(int(kept[0]))
    assert len(set(firsts)) <= 5


def test_no_more_history_than_there_is_room_for() -> None:
    history = [asked("long " * 100), MessageItem(role="assistant", text="short.")] * 5
    assert len(written([*history, asked("Hello.")], room=600)) < len(head()) + 700
    only = written([*history, asked("Hello.")], room=0)
    assert only == head() + "Person: Hello.\nAssistant:"


def test_tools_are_not_spoken_of_and_notes_are() -> None:
    items: list[Item] = [
        MessageItem(role="system", text="The user is in Paris."),
        asked("Where am I?"),
        ToolCallItem(call_id="c", name="where", arguments="{}"),
        ToolResultItem(call_id="c", output="Paris"),
        MessageItem(role="assistant", text="  "),
    ]
    assert written(items) == head() + "Note: The user is in Paris.\nPerson: Where am I?\nAssistant:"


def test_without_anything_said() -> None:
    assert written([]) == head() + "Assistant:"
    assert begun([]) == head() + "Person:"
    assert head("   ") == head()


def test_examples_keep_to_the_grammar() -> None:
    """The model writes as it reads."""
    answers = re.findall(r"^Assistant: (.*)$", head(), re.MULTILINE)
    assert len(answers) >= 5
    for answer in answers:
        opener, _, rest = answer.partition(", ")
        assert opener in OPENERS
        assert re.fullmatch(r"[a-zA-Z0-9 ':-]+(, [a-zA-Z0-9 ':-]+)?[.!?]", rest)
        assert not any(stop in answer for stop in STOPS)


def test_the_grammar_names_every_opener() -> None:
    assert all(f'"{word}"' in GRAMMAR for word in OPENERS)
    assert GRAMMAR.startswith("root ::=")
