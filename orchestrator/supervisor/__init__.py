"""The only holder of the container engine.

Owns the reconcile loop, channels and path checks; refuses models, ports and
free-form container options.
"""
