"""Tests of everything; each directory says what it needs."""
