"""What both ends of HTTP agree on: bodies, events, problems.

Owns shapes that cross the network between a client and the api. Refuses
behaviour: nothing here talks to a server, a store or a terminal.
"""
