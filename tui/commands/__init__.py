"""What a person can tell the client with a slash.

Owns parsing, the list of commands and what each does. Refuses widgets: a command calls the
api and tells outcomes, so that it is tested without a screen.
"""
