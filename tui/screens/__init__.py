"""Screens: how widgets stand together and what keys mean there."""
