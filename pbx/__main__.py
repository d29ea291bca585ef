"""The `voipat` command, also as `python -m pbx`."""

import sys


def main() -> int:
    """The exit status of the command line."""
    if sys.argv[1:2] == ["serve"]:
        from pbx import _heap

        _heap.install()  # before anything is loaded: what is there already does not move
    from pbx import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
