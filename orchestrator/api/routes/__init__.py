"""One file per resource of the HTTP api.

Owns the mapping of calls to use cases; refuses decisions of its own.
"""
