"""The words of voicebridge: what crosses every boundary, as plain data. Imports nothing above itself."""
