"""The command line: parse, call one pipeline, show its record."""
