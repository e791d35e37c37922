"""Joining: the hooks a plugin implements, loading plugins one by one, and names that become backends and stages."""
