"""Conversations in real time: a microphone that never waits, a speaker that plays, and what happened between them."""
