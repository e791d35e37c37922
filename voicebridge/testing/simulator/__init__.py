"""Servers on this machine that speak a vendor's true wire: the engine. A plugin brings the wire itself.

engine          the server: handshakes, connections, their end
wire            what a plugin implements, and what it is given
connection      one client's connection, with the faults of the script
fault_script    what goes wrong, a line each
profile         how long the stages of a vendor take, drawn with a seed
turn_log        what really happened in each turn, with monotonic stamps
voice, ears     audio out and in: tones or a speech stage; a turn detector and a recogniser
option          the options of one wire, read and checked
"""
