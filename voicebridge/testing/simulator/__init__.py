"""Servers on this machine that speak a vendor's true wire: the engine. A plugin brings the wire itself.

engine          the server: handshakes, connections, their end
wire            what a plugin implements, and what it is given
doorman         tells who speaks websocket from who speaks HTTP
server_socket   a websocket
connection      one client's frames, or the pieces of one answer, with the faults of the script
http_side       requests, counted and answered: http_connection, http_reply
http_vendor     a vendor that is asked in HTTP alone
fault_script    what goes wrong, a line each
profile         how long the stages of a vendor take, drawn with a seed
callers         who calls in which turn: draws and records of requests
caller_server   the server of a vendor whose times are drawn for callers
named_stages    stages that the options name: seen to and loaded before the first client
turn_log        what really happened in each turn, with monotonic stamps
pacing          pieces sent on time
multipart       forms that clients upload
upload          audio that they upload
voice, ears     audio out and in: tones or a speech stage; a turn detector and a recogniser
hearing         what is understood of each utterance of a connection: a script, or a recogniser
caller_hearing  the same of each caller's uploads
client_work     what a wire does for one client beside reading its frames
option          the options of one wire, read and checked
"""
