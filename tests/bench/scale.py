"""CPU per request as the keyspace grows: random GETs and SETs (pipelines of 32, one connection) on more and more keys."""
import os, random
from servers import command

SIZES, REQUESTS, PIPELINE = [1000, 1000000, 10000000, 30000000], 600000, 32


def cost(server, make, keys):
    rng = random.Random(5)
    batches = [b"".join(make(rng.randrange(keys)) for _ in range(PIPELINE)) for _ in range(REQUESTS // PIPELINE)]
    c = server.client()
    before = server.cpu()
    for batch in batches:
        c.run(batch)
    return (server.cpu() - before) / REQUESTS * 1e6


def run(found, rounds, only, start):
    sizes = [int(n) for n in os.environ.get("BENCH_SIZES", "").split(",") if n] or SIZES
    result = {}
    for name, binary in found:
        s = start(name, binary, "--enable-debug-command", "yes")
        try:
            for keys in sizes:
                s.client().run(command("DEBUG", "POPULATE", keys, "key", 16))
                for verb, make in [
                    ("GET", lambda i: command("GET", f"key:{i}")),
                    ("SET", lambda i: command("SET", f"key:{i}", "value:0123456789")),
                ]:
                    result.setdefault(f"{verb}, {keys:,} keys", {})[name] = cost(s, make, keys)
        finally:
            s.stop()
    return {"us": result}
