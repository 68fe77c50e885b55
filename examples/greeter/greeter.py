"""Say hello to somebody."""

import sys


def greet(name):
    """Return a greeting for `name`."""
    return f"Hello, {name}!"


def main():
    """Greet everybody named on the command line, or the world."""
    for name in sys.argv[1:] or ["world"]:
        print(greet(name))


if __name__ == "__main__":
    main()
