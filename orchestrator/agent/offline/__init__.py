"""The built-in model that needs no key.

Owns a small command language; refuses to touch anything itself: it asks for
the same tools as every other model.
"""
