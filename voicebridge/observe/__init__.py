"""What was said, kept: recordings of sessions, and sessions played from them."""
