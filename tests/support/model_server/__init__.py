"""A local server that answers as providers do, by a script.

Speaks OpenAI chat completions, OpenAI responses and Anthropic messages over
real HTTP, streaming and not, so that the real client code runs.
"""

from tests.support.model_server.script import Call, Failure, Reply, Rule, Script
from tests.support.model_server.server import ModelServer, Recorded

__all__ = ["Call", "Failure", "ModelServer", "Recorded", "Reply", "Rule", "Script"]
