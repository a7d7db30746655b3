"""``make bench``: every benchmark, one after the other, in this order."""

from tests.bench import fisher, startup, streaming

for part in (startup, streaming, fisher):
    part.main([])
