"""What waiting costs and what not waiting costs: turns cut into against silence added, for ways to find a turn's end.

Detectors are stages, and hear the same recorded speech in audio time: what is measured is their decision alone.
"""
