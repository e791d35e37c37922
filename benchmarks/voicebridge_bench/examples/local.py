from voicebridge import VoiceAgent

agent = VoiceAgent("You are a helpful assistant.", backend="local")
agent.start()
