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
OTHER_CALL = ToolCallItem(call_id="b", name="mul", arguments="{}")
OTHER_RESULT = ToolResultItem(call_id="b", output="4")


def working(call_id: str) -> ToolResultItem:
    return ToolResultItem(call_id=call_id, output="The tool is still working; its result will follow.")


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


# Calls and their results


def test_a_result_stands_behind_its_call_whenever_it_came() -> None:
    history = History([user("one")])
    history.append(CALL)
    history.append(user("two"))
    assert history.items() == (user("one"), CALL, user("two")), "to one that is told this, the call is open"
    assert history.items(placeholders=True) == (user("one"), CALL, working("a"), user("two"))
    history.append(user("three"))
    history.append(RESULT)
    assert history.items() == (user("one"), CALL, RESULT, user("two"), user("three"))


def test_calls_of_one_answer_stay_together_before_their_results() -> None:
    history = History()
    history.append(CALL)
    history.append(OTHER_CALL)
    history.append(OTHER_RESULT)
    assert history.items() == (CALL, OTHER_CALL, OTHER_RESULT)
    assert history.items(placeholders=True) == (CALL, OTHER_CALL, working("a"), OTHER_RESULT)
    history.append(RESULT)
    history.append(user("x"))
    assert history.items() == (CALL, OTHER_CALL, RESULT, OTHER_RESULT, user("x"))


def test_a_result_between_two_calls() -> None:
    history = History()
    history.append(CALL)
    history.append(RESULT)
    history.append(OTHER_CALL)
    assert history.items(placeholders=True) == (CALL, RESULT, OTHER_CALL, working("b"))


def test_an_id_that_comes_again_is_another_call() -> None:
    again, other = ToolCallItem(call_id="a", name="add", arguments="[]"), ToolResultItem(call_id="a", output="5")
    history = History([user("one"), CALL, RESULT, user("two")])
    history.append(again)
    assert history.items() == (user("one"), CALL, RESULT, user("two"), again), "it has no result yet"
    assert history.items(placeholders=True)[-1] == working("a")
    assert history.open_calls() == ("a",)
    history.append(other)
    assert history.items() == (user("one"), CALL, RESULT, user("two"), again, other)
    assert history.open_calls() == ()


def test_a_result_is_that_of_the_last_call_of_its_id_that_waits() -> None:
    again, other = ToolCallItem(call_id="a", name="add", arguments="[]"), ToolResultItem(call_id="a", output="5")
    history = History([CALL, user("one"), again])
    assert history.open_calls() == ("a", "a")
    history.append(other)
    assert history.items() == (CALL, user("one"), again, other)
    history.append(RESULT)
    history.append(ToolResultItem(call_id="a", output="too many"))
    assert history.items() == (CALL, RESULT, user("one"), again, other)


def test_the_last_of_two_that_were_placed_by_one_key_may_be_taken_back() -> None:
    history = History()
    history.place("k", CALL)
    history.append(RESULT)
    history.place("k", ToolCallItem(call_id="a", name="add", arguments="[]"))
    history.withdraw_last("k")
    history.withdraw_last("nobody")
    assert history.items() == (CALL, RESULT)


def test_the_calls_that_are_open() -> None:
    history = History([CALL, OTHER_CALL])
    assert history.open_calls() == ("a", "b")
    history.append(RESULT)
    assert history.open_calls() == ("b",)
    history.append(OTHER_RESULT)
    assert history.open_calls() == ()


def test_what_an_answer_says_between_its_calls_comes_where_it_began() -> None:
    history = History()
    history.open_response("r1")
    history.append(CALL)
    history.say("r1", "Let me see.")
    history.append(OTHER_CALL)
    history.append(RESULT)
    history.append(OTHER_RESULT)
    assert history.items() == (agent("Let me see."), CALL, OTHER_CALL, RESULT, OTHER_RESULT)


def test_an_empty_message_does_not_come_between_a_call_and_its_result() -> None:
    history = History()
    history.append(CALL)
    history.open_response("r2")
    history.append(RESULT)
    assert history.items() == (CALL, RESULT)


def test_a_result_without_its_call_is_not_told() -> None:
    assert History([user("one"), RESULT]).items() == (user("one"),)


# Answers


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
    history = History([user(""), picture, CALL, silent])
    assert history.items() == (picture, CALL, silent)


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


def test_hearing_all_takes_a_cut_back() -> None:
    history = History()
    history.open_response("r1")
    history.say("r1", "One. Two.")
    history.hear("r1", "")
    history.hear_all("r1")
    assert history.items() == (agent("One. Two."),)
    assert history.last_heard is None


def test_hearing_all_of_what_was_never_cut_changes_nothing() -> None:
    history = History()
    history.open_response("r1")
    history.say("r1", "One.")
    history.hear_all("r1")
    history.say("r1", " Two.")
    assert history.items() == (agent("One. Two."),)
    history.hear_all("nobody")
    assert history.items() == (agent("One. Two."),)


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


# Turns whose words come late, and items that may be taken back


def test_a_turn_has_its_place_before_its_words_are_known() -> None:
    history = History()
    history.open_turn("t1")
    history.open_response("r1")
    history.say("r1", "Hi")
    assert history.items() == (agent("Hi"),), "nobody is told of an empty turn"
    history.write_down("t1", "Hel")
    assert history.items() == (user("Hel"), agent("Hi"))
    history.write_down("t1", "Hello")
    assert history.items() == (user("Hello"), agent("Hi"))
    history.write_down("nobody", "What?")
    assert history.items() == (user("Hello"), agent("Hi"))
    history.write_down("t1", "")
    assert history.items() == (agent("Hi"),)


def test_what_was_placed_may_be_taken_back() -> None:
    history = History([user("before")])
    history.place("c1", user("one"))
    history.append(CALL)
    history.place("c2", RESULT)
    history.open_turn("t1")
    history.write_down("t1", "two")
    assert history.items() == (user("before"), user("one"), CALL, RESULT, user("two"))
    history.withdraw("nobody")
    history.withdraw("c2")
    assert history.items() == (user("before"), user("one"), CALL, user("two"))
    history.withdraw("c1")
    history.withdraw("t1")
    history.write_down("t1", "too late")
    assert history.items() == (user("before"), CALL)


def test_words_of_a_turn_do_not_overwrite_a_tool_result_of_the_same_name() -> None:
    history = History()
    history.append(CALL)
    history.place("x", RESULT)
    history.write_down("x", "words")
    assert history.items() == (CALL, RESULT)
