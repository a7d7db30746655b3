"""``python -m purify_cli``: the same program as ``purify``, for launchers that want a module."""

from purify_cli.cli.app import entry

__all__: list[str] = []

if __name__ == "__main__":
    entry()
