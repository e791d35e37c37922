"""ElevenLabs voices and Scribe, as stages of a voicebridge cascade.

Only hooks here: what is heavy is imported when a stage is asked for.
"""
