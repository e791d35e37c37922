"""Stages of a cascade over OpenAI's HTTP API, its realtime transcription, and servers that speak either."""
