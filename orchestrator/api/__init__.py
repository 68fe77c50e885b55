"""The HTTP api: authentication, routes, problems and event streams.

Owns transport; refuses to touch an engine, a model or a project's files.
"""
