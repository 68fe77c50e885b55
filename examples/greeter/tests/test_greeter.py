"""What the greeter promises."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from greeter import greet


class GreeterTest(unittest.TestCase):
    """The greeting holds the name."""

    def test_name_is_greeted(self):
        self.assertEqual(greet("Ada"), "Hello, Ada!")


if __name__ == "__main__":
    unittest.main()
