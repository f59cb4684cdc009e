"""Which keys stay when memory is short: the hit ratio of a seeded zipf trace against a cache of 50 MB."""
import bisect, itertools, random
from servers import command

MEMORY, KEYS, REQUESTS, BATCH, SKEW = "50mb", 1000000, 2000000, 200, 0.9
VALUE = b"x" * 100


def trace(seed=11):
    """Key numbers; popular ones are spread over the whole range."""
    rng = random.Random(seed)
    weights = list(itertools.accumulate(1 / (i + 1) ** SKEW for i in range(KEYS)))
    names = list(range(KEYS))
    rng.shuffle(names)
    return [names[bisect.bisect(weights, rng.random() * weights[-1])] for _ in range(REQUESTS)]


def replies(s, n, rest):
    """The next `n` replies to GET (None or a value of the length of ours) and what was read beyond them."""
    hits = []
    whole = len(b"$100\r\n") + len(VALUE) + 2
    at = 0
    while len(hits) < n:
        have = rest[at : at + 1] and (rest[at : at + 5] == b"$-1\r\n" and 5 or (len(rest) - at >= whole and rest[at : at + 6] == b"$100\r\n" and whole))
        if have:
            hits.append(have != 5)
            at += have
        else:
            rest = rest[at:] + s.recv(1 << 16)
            at = 0
    return hits, rest[at:]


def hit_ratio(server, policy, keys):
    c = server.client()
    c.run(command("FLUSHALL"))
    c.run(command("CONFIG", "SET", "maxmemory", MEMORY))
    c.run(command("CONFIG", "SET", "maxmemory-policy", policy))
    hits, counted = 0, 0
    for at in range(0, len(keys), BATCH):
        batch = keys[at : at + BATCH]
        c.send(b"".join(command("GET", f"key:{k:012d}") for k in batch))
        found, _ = replies(c.s, len(batch), b"")
        missed = b"".join(command("SET", f"key:{k:012d}", VALUE) for k, hit in zip(batch, found) if not hit)
        if missed:
            c.run(missed)
        # The cache fills during the first half.
        if at >= len(keys) // 2:
            hits += sum(found)
            counted += len(found)
    return hits / counted


def run(found, rounds, only, start):
    keys = trace()
    result = {}
    for name, binary in found:
        s = start(name, binary)
        try:
            for policy in only or ["allkeys-lru", "allkeys-lfu"]:
                result.setdefault(policy, {})[name] = hit_ratio(s, policy, keys)
        finally:
            s.stop()
    return {"hits": result}
