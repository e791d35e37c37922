"""The clients under test, a module each."""
