"""The worker process: an RQ pool that runs turns.

Owns leases and the life of a job; refuses engines and client transport.
"""
