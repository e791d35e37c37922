"""What a minute of conversation costs, by the price list and a talk profile: `voicebridge bench cost`."""
