"""What a client of a native realtime backend costs: delivery, CPU time, memory, first audio, recovery.

One server process with a lean sender, and clients ("arms") in processes of their own, in turns: a bare websocket
client, voicebridge, and other people's libraries where they are installed.

What runs inside an arm's process (`arms/`, `arm_process`, `steady`, `first_audio`, `stamp`, `histogram`) imports the
standard library and the client under test, and nothing of voicebridge: a peer's interpreter need not have it.
"""
