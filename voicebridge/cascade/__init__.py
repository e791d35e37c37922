"""The modular backend: speech to text, a language model, text to speech, every stage streaming."""
