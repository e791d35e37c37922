"""What the managed session promises, measured from the outside: lost connections, moves, failover, and its price.

Calls on real sockets in real time, through `ChaosProxy`, against simulators of the OpenAI Realtime wire in a process of
their own. Nothing is used that an application can't use: `connect`, `connect_raw`, commands, events and
`session.account`.
"""
