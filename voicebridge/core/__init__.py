"""The policies: pure, without I/O, the clock passed in."""
