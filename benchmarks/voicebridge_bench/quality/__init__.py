"""How good speech sounds, as a network predicts it."""
