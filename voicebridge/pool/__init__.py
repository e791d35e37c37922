"""API keys that many sessions share: who may use which, and for how long."""
