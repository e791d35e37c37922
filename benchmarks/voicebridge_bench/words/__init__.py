"""How well speech is understood: recognisers and speech-to-speech backends against what was really said."""
