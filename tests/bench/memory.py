"""Bytes per element, as `used_memory` and as resident memory, for the data sets that users store."""
from servers import command
from commands import fill

N = 1000000
SETS = {
    "string 16 B key, 16 B value": (N, lambda i: command("SET", f"key:{i:012d}", f"{i:016x}")),
    "string with integer": (N, lambda i: command("SET", f"key:{i:012d}", i)),
    "string with TTL": (N, lambda i: command("SET", f"key:{i:012d}", f"{i:016x}", "EX", 100000)),
    "string of 100 B": (N // 2, lambda i: command("SET", f"key:{i:012d}", "x" * 100)),
    "hash of 5 small fields": (N // 5, lambda i: command("HSET", f"h:{i:010d}", *[z for j in range(5) for z in (f"f{j}", f"value{j}")])),
    "field of a big hash": (N, lambda i: command("HSET", f"big:{i % 10}", f"field:{i:010d}", f"{i:016x}")),
    "member of a big set": (N, lambda i: command("SADD", f"sbig:{i % 10}", f"member:{i:010d}")),
    "member of a big sorted set": (N, lambda i: command("ZADD", f"zbig:{i % 10}", i * 7919 % 1000003, f"member:{i:010d}")),
    "element of a big list": (N, lambda i: command("RPUSH", f"l:{i % 10}", f"element:{i:010d}")),
    "entry of a stream": (N, lambda i: command("XADD", f"x:{i % 10}", "*", "sensor", i % 100, "temp", i)),
}


def run(found, rounds, only, start):
    used, resident = {}, {}
    for name, (n, make) in SETS.items():
        for server, binary in found:
            s = start(server, binary)
            try:
                before = int(s.info("used_memory")), s.rss()
                fill(s.client(), (make(i) for i in range(n)))
                used.setdefault(name, {})[server] = (int(s.info("used_memory")) - before[0]) / n
                resident.setdefault(name, {})[server] = (s.rss() - before[1]) / n
            finally:
                s.stop()
    return {"used": used, "resident": resident}


def shrink(found, start, keys=5000000):
    """Resident memory after nine keys of ten were deleted, as a share of the peak."""
    import random, time

    share = {}
    order = list(range(keys))
    random.Random(8).shuffle(order)
    for server, binary in found:
        s = start(server, binary)
        try:
            c = s.client()
            fill(c, (command("SET", f"key:{i:012d}", f"{i:016x}") for i in range(keys)))
            peak = s.rss()
            fill(c, (command("DEL", *[f"key:{i:012d}" for i in order[j : j + 20]]) for j in range(0, keys * 9 // 10, 20)))
            time.sleep(15)
            share[server] = s.rss() / peak
        finally:
            s.stop()
    return share
