from voicebridge import VoiceAgent

agent = VoiceAgent("You are a helpful assistant.", backend="openai/gpt-realtime-2")
agent.start()
