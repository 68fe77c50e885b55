"""Entry point for `python3 -I -S -E <directory>/toolserver …`.

Makes the directory importable under its one name wherever it was copied to, and takes it
off the search path so that none of its modules can stand in for one of the standard library.
"""

import os
import sys
import types


def _locate() -> None:
    """Bind the package name to the directory this file lies in."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    if "sandbox_image" not in sys.modules:
        package = types.ModuleType("sandbox_image")
        package.__path__ = [os.path.dirname(here)]
        sys.modules["sandbox_image"] = package


if __name__ == "__main__":
    _locate()
    from sandbox_image.toolserver.startup import main

    sys.exit(main(sys.argv[1:]))
