"""One turn with pydantic-ai.

Owns models, tools and the mapping to events; refuses persistence details.
"""
