"""One function per subcommand: typed settings in, a record out, nothing printed."""
