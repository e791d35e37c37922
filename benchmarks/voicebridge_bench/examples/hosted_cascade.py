from voicebridge import VoiceAgent

agent = VoiceAgent("You are a helpful assistant.", backend="openai/whisper-1+openai/gpt-4o+elevenlabs/eleven_turbo_v2")
agent.start()
