"""Recorded human speech to talk to a backend with: manifests, clips, and where speech begins and ends in them."""
