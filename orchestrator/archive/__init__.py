"""Sessions on disk: format, versions, save, load, list.

Owns the file format; refuses to delete what it cannot read.
"""
