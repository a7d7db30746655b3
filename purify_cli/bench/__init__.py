"""``purify bench``: every method against every attack on equal terms.

``plan`` (a TOML file, checked) → ``grid`` (what is to be measured, in order) → ``zoo`` (suspects, trained once,
shared) → ``measuring`` and ``figures`` (one row of results each) → ``store`` (JSON Lines that survive ``kill -9``) →
``run`` (the loop). The tables, plots and the page are made from the rows alone (``purify_cli.bench.report.page``).
"""
