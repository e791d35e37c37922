"""The history: order, growth, and what was heard."""

from __future__ import annotations

from voicebridge.contract.items import MessageItem, ToolCallItem, ToolResultItem
from voicebridge.core.history import History


def user(text: str) -> MessageItem:
    return MessageItem(role="user", text=text)


def agent(text: str, *, interrupted: bool = False) -> MessageItem:
    return MessageItem(role="assistant", text=text, interrupted=interrupted)


CALL = ToolCallItem(call_id="a", name="add", arguments="{}")
RESULT = ToolResultItem(call_id="a", output="3")


def test_items_come_in_the_order_in_which_they_were_said() -> None:
    history = History([user("before")])
    history.append(user("one"))
    history.open_response("r1")
    history.append(user("two"))
    history.append(CALL)
    history.say("r1", "An")
    history.append(RESULT)
    history.say("r1", " answer")
    assert history.items() == (user("before"), user("one"), agent("An answer"), user("two"), CALL, RESULT)


def test_what_was_told_does_not_change_afterwards() -> None:
    history = History()
    history.open_response("r1")
    history.say("r1", "One.")
    told = history.items()
    history.say("r1", " Two.")
    history.append(user("x"))
    assert told == (agent("One."),)


def test_an_empty_answer_is_not_told_but_holds_its_place() -> None:
    history = History()
    history.open_response("r1")
    history.append(user("x"))
    assert history.items() == (user("x"),)
    history.say("r1", "Late.")
    assert history.items() == (agent("Late."), user("x"))


def test_empty_texts_and_pictures() -> None:
    picture = MessageItem(role="user", text="", images=("data:image/png;base64,",))
    silent = ToolResultItem(call_id="a", output="")
    history = History([user(""), picture, silent])
    assert history.items() == (picture, silent)


def test_an_aside_is_in_no_history() -> None:
    history = History()
    history.say("r1", "psst")
    history.hear("r1", "ps")
    assert history.items() == ()
    assert history.last_heard is None


def test_only_what_was_heard_is_kept() -> None:
    history = History()
    history.open_response("r1")
    history.say("r1", "One. Two.")
    history.hear("r1", "One.")
    assert history.items() == (agent("One.", interrupted=True),)
    history.say("r1", " Three.")
    assert history.items() == (agent("One.", interrupted=True),)


def test_nothing_was_heard() -> None:
    history = History()
    history.open_response("r1")
    history.say("r1", "One.")
    history.hear("r1", "")
    history.append(user("What?"))
    assert history.items() == (user("What?"),)
    assert history.last_heard == ""


def test_what_was_heard_may_be_corrected() -> None:
    history = History()
    history.open_response("r1")
    history.say("r1", "One. Two. Three. ")
    history.hear("r1", "One.")
    history.hear("r1", "One. Two.")
    assert history.items() == (agent("One. Two.", interrupted=True),)
    assert history.last_heard == "One. Two."
    history.hear("r1", "One. Two. Three.")
    assert history.items() == (agent("One. Two. Three."),), "all of it was heard after all"
    assert history.last_heard is None


def test_last_heard_is_of_the_last_answer() -> None:
    history = History()
    assert history.last_heard is None
    history.open_response("r1")
    history.say("r1", "One. Two.")
    history.hear("r1", "One.")
    history.append(user("Go on"))
    assert history.last_heard == "One."
    history.open_response("r2")
    assert history.last_heard is None
    history.hear("r1", "On")
    assert history.items()[0] == agent("On", interrupted=True)
    assert history.last_heard is None, "that was the answer before"
    history.say("r2", "Two. Three.")
    history.hear("r2", "Two.")
    history.append(CALL)
    history.hear("r1", "One.")
    assert history.last_heard == "Two."
