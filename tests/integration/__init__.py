"""Rooms on the real parts they use."""
