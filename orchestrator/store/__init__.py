"""State in Redis: keys, records, events, history, turns, signals.

Owns atomicity and names of keys; refuses rules, which are the domain's.
"""
