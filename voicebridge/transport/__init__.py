"""The border between sessions and the rest: how events reach the application."""
