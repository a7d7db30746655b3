"""What each command is asked: the options, written down once, for the command line and for Python."""
