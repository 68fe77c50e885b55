"""The supervisor on real stores and real runtimes."""
