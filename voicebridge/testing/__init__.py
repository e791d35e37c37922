"""Shipped for tests of backends and applications: scripted stages, virtual time."""
