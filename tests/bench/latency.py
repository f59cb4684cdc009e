"""The longest stall a client sees while something big happens: a pinger asks 1000 times a second, the worst answer counts.

The pinger is a process of its own, so that what the load does in this one does not show.
"""
import multiprocessing, os, random, socket, time
from commands import fill
from servers import command

KEYS = 5000000


def _ping(port, stop, out):
    s = socket.create_connection(("127.0.0.1", port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    worst = 0.0
    while not stop.is_set():
        t = time.perf_counter()
        s.sendall(b"PING\r\n")
        s.recv(16)
        took = time.perf_counter() - t
        worst = max(worst, took)
        time.sleep(max(0.0, 0.001 - took))
    out.put(worst * 1000)


def watched(server, what, settle=0.5):
    """The longest stall, in ms, while `what()` runs and `settle` seconds after."""
    stop, out = multiprocessing.Event(), multiprocessing.Queue()
    p = multiprocessing.Process(target=_ping, args=(server.port, stop, out))
    p.start()
    time.sleep(0.3)
    what()
    time.sleep(settle)
    stop.set()
    worst = out.get()
    p.join()
    return worst


def big_zset(c, name):
    fill(c, (command("ZADD", name, *[x for j in range(i, i + 20) for x in (j, f"member:{j:010d}")]) for i in range(0, 2000000, 20)))


def insert_more(s, c):
    data = [command("SET", f"more:{i:012d}", i) for i in range(1000000)]
    return watched(s, lambda: fill_slowly(c, data))


def fill_slowly(c, items, width=16):
    """Small batches: a big one would itself be the stall."""
    for i in range(0, len(items), width):
        c.run(b"".join(items[i : i + width]))


def expire_million(s, c):
    at = int(time.time() * 1000) + 25000
    fill(c, (command("SET", f"v:{i:012d}", i, "PXAT", at + i // 1000) for i in range(1000000)))
    time.sleep(max(0.0, at / 1000 - time.time() - 0.5))
    return watched(s, lambda: time.sleep(3))


def delete_by(verb):
    def go(s, c):
        big_zset(c, "z")
        return watched(s, lambda: c.run(command(verb, "z")), 1)

    return go


def expire_big(s, c):
    big_zset(c, "z")
    c.run(command("PEXPIRE", "z", 1000))
    return watched(s, lambda: time.sleep(2))


def flushall(s, c):
    return watched(s, lambda: c.run(command("FLUSHALL")), 2)


def bgsave(s, c):
    def save():
        c.run(command("BGSAVE"))
        while s.info("rdb_bgsave_in_progress").strip() == "1":
            time.sleep(0.1)

    return watched(s, save)


# In this order on one server; the last empties it.
CASES = {
    "1 M keys inserted": insert_more,
    "1 M keys expire in a second": expire_million,
    "2 M sorted set, DEL": delete_by("DEL"),
    "2 M sorted set, UNLINK": delete_by("UNLINK"),
    "2 M sorted set, expiry": expire_big,
    "BGSAVE": bgsave,
    "FLUSHALL": flushall,
}


def run(found, rounds, only, start):
    keys = int(os.environ.get("BENCH_KEYS", KEYS))
    result = {}
    for name, binary in found:
        s = start(name, binary)
        try:
            c = s.client()
            fill(c, (command("SET", f"key:{i:012d}", f"{i:016x}") for i in range(keys)))
            for case, f in CASES.items():
                if not only or case in only:
                    result.setdefault(case, {})[name] = f(s, c)
        finally:
            s.stop()
    return {"ms": result}
