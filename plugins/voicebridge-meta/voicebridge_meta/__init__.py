"""Meta's voice models for voicebridge: the one that has a public API, and plain answers for those that have none.

Only hooks here: what is heavy is imported when a stage is asked for.
"""
