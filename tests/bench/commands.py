"""CPU per request of single commands and of patterns that redis-benchmark does not know.

A case prepares its data once, then runs batches of prepared bytes; what counts is the server's CPU time per request of the
batch, the median over the rounds.
"""
import os, random, selectors, signal, statistics, time
from servers import command

CASES = {}


def case(requests):
    """Registers a case: `setup(client, server)` returns the batches that `requests` requests are sent in."""

    def add(f):
        CASES[f.__name__] = (f, requests)
        return f

    return add


def pipeline(items, width=16):
    """Requests in batches of `width`."""
    items = list(items)
    return [b"".join(items[i : i + width]) for i in range(0, len(items), width)]


def fill(c, items):
    for batch in pipeline(items, 500):
        c.run(batch)


@case(20000)
def exec_10_sets(c, server):
    sets = b"".join(command("SET", f"k{i}", "v" * 16) for i in range(10))
    one = command("MULTI") + sets + command("EXEC")
    return pipeline([one] * 20000, 4)


@case(100000)
def publish_to_1(c, server):
    return _publish(c, server, 1, 100000)


@case(20000)
def publish_to_100(c, server):
    return _publish(c, server, 100, 20000)


@case(200)
def publish_to_10000(c, server):
    return _publish(c, server, 10000, 200)


def _publish(c, server, subscribers, n):
    server.helpers = Drain(server, subscribers, [command("SUBSCRIBE", "news")])
    return pipeline([command("PUBLISH", "news", "x" * 32)] * n, 8)


@case(20000)
def blpop_lpush(c, server):
    """A blocked client is served by a push from another: one ping-pong is two requests and a wake-up."""
    return PingPong(server, 20000)


@case(20000)
def set_beside_10000_blocked(c, server):
    server.helpers = Drain(server, 10000, [command("BLPOP", "never", 0)])
    return pipeline([command("SET", "k", "v")] * 20000)


@case(100000)
def invalidate_100000_tracked(c, server):
    server.helpers = d = Drain(server, 1, [command("HELLO", 3), command("CLIENT", "TRACKING", "ON")])
    fill(c, [command("SET", f"t{i}", i) for i in range(100000)])
    for i in range(0, 100000, 500):
        d.clients[0].run(b"".join(command("GET", f"t{j}") for j in range(i, i + 500)))
    d.watch()
    return pipeline([command("SET", f"t{i}", i + 1) for i in range(100000)])


@case(200000)
def xadd(c, server):
    return pipeline([command("XADD", "s", "MAXLEN", "~", 100000, "*", "sensor", i % 100, "temp", i) for i in range(200000)])


@case(20000)
def xrange_100(c, server):
    fill(c, [command("XADD", "s", f"{i}-1", "sensor", i % 100, "temp", i) for i in range(1, 100001)])
    r = random.Random(1)
    return pipeline([command("XRANGE", "s", r.randrange(1, 99000), "+", "COUNT", 100) for _ in range(20000)], 8)


@case(60000)
def xreadgroup_xack(c, server):
    fill(c, [command("XADD", "s", f"{i}-1", "job", i) for i in range(1, 60001)])
    c.run(command("XGROUP", "CREATE", "s", "g", "0"))
    read = command("XREADGROUP", "GROUP", "g", "c", "COUNT", 1, "STREAMS", "s", ">")
    return pipeline([read + command("XACK", "s", "g", f"{i}-1") for i in range(1, 60001)], 8)


@case(3000)
def geosearch_1m(c, server):
    r = random.Random(2)
    fill(c, [command("GEOADD", "g", r.uniform(-179, 179), r.uniform(-80, 80), f"m{i}") for i in range(1000000)])
    ask = lambda: command("GEOSEARCH", "g", "FROMLONLAT", r.uniform(-170, 170), r.uniform(-70, 70), "BYRADIUS", 100, "km", "ASC", "WITHDIST")
    return pipeline([ask() for _ in range(3000)], 8)


@case(200000)
def pfadd(c, server):
    r = random.Random(3)
    return pipeline([command("PFADD", f"h{i % 100}", r.randrange(1 << 40)) for i in range(200000)])


@case(20000)
def pfcount_changed(c, server):
    """Each count follows an addition, so that the cached cardinality does not answer."""
    r = random.Random(4)
    fill(c, [command("PFADD", "h", *[r.randrange(1 << 40) for _ in range(50)]) for _ in range(2000)])
    return pipeline([command("PFADD", "h", r.randrange(1 << 60)) + command("PFCOUNT", "h") for _ in range(20000)])


def _scores(c):
    fill(c, [command("ZADD", "z", i * 7919 % 1000003, f"member:{i:010d}") for i in range(1000000)])


@case(50000)
def zrangebyscore_1m(c, server):
    _scores(c)
    r = random.Random(5)
    return pipeline([command("ZRANGEBYSCORE", "z", (s := r.randrange(1000000)), s + 10) for _ in range(50000)])


@case(200000)
def zrank_1m(c, server):
    _scores(c)
    r = random.Random(6)
    return pipeline([command("ZRANK", "z", f"member:{r.randrange(1000000):010d}") for _ in range(200000)])


@case(20)
def sort_100000(c, server):
    r = random.Random(7)
    fill(c, [command("RPUSH", "l", r.randrange(1 << 30)) for _ in range(100000)])
    return pipeline([command("SORT", "l", "LIMIT", 0, 10)] * 20, 1)


@case(60)
def bitcount_64mb(c, server):
    _bits(c)
    return pipeline([command("BITCOUNT", "b")] * 60, 1)


@case(20)
def bitop_or_64mb(c, server):
    _bits(c)
    return pipeline([command("BITOP", "OR", "d", "b", "b2")] * 20, 1)


@case(60)
def bitpos_64mb(c, server):
    _bits(c)
    return pipeline([command("BITPOS", "b", 1, 1)] * 60, 1)


def _bits(c):
    c.run(command("SETBIT", "b", 64 * 8 * 1024 * 1024 - 1, 1) + command("SETBIT", "b2", 64 * 8 * 1024 * 1024 - 1, 1))


@case(100000)
def evalsha_return_1(c, server):
    return _script(c, "return 1", [()] * 100000)


@case(100000)
def evalsha_incrby(c, server):
    body = "return redis.call('INCRBY', KEYS[1], ARGV[1])"
    return _script(c, body, [(1, f"k{i % 1000}", 2) for i in range(100000)])


RATE_LIMITER = """
local key, now, window, limit = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
local used = redis.call('ZCARD', key)
redis.call('HINCRBY', key .. ':stat', 'calls', 1)
redis.call('HGET', key .. ':stat', 'calls')
redis.call('EXISTS', key .. ':ban')
if used < limit then
  redis.call('ZADD', key, now, ARGV[4])
  redis.call('PEXPIRE', key, window)
  redis.call('PEXPIRE', key .. ':stat', window)
  redis.call('INCR', key .. ':ok')
  redis.call('PTTL', key)
  return {1, limit - used - 1}
end
return {0, 0}
"""


@case(30000)
def evalsha_rate_limiter(c, server):
    return _script(c, RATE_LIMITER, [(1, f"k{i % 1000}", 1000000 + i, 60000, 100, i) for i in range(30000)])


def _script(c, body, calls):
    import hashlib

    c.run(command("SCRIPT", "LOAD", body))
    sha = hashlib.sha1(body.encode()).hexdigest()
    return pipeline([command("EVALSHA", sha, *(args or (0,))) for args in calls])


class Drain:
    """Many connections whose incoming bytes are read and dropped by a child process of its own."""

    def __init__(self, server, n, greetings):
        self.clients = [server.client() for _ in range(n)]
        for c in self.clients:
            c.send(b"".join(greetings))
        if not greetings[0].startswith(b"*2\r\n$5\r\nHELLO"):
            self.watch()

    def watch(self):
        self.pid = os.fork()
        if self.pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            sel = selectors.DefaultSelector()
            for c in self.clients:
                sel.register(c.s, selectors.EVENT_READ)
            while True:
                for key, _ in sel.select():
                    if not key.fileobj.recv(1 << 16):
                        os._exit(0)

    def close(self):
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        for c in self.clients:
            c.close()


class PingPong:
    """Two connections, one blocked, one pushing, in turn."""

    def __init__(self, server, n):
        self.a, self.b, self.n = server.client(), server.client(), n

    def play(self):
        pop, push = command("BLPOP", "q", 0), command("LPUSH", "q", "x")
        for _ in range(self.n):
            self.a.s.sendall(pop)
            self.b.s.sendall(push)
            self.b.s.recv(64)
            self.a.s.recv(64)


def together(server, load, connections=10):
    """The batches over several connections at a time, as clients of a busy server send them."""
    crew = [server.client() for _ in range(connections)]
    for i in range(0, len(load), connections):
        busy = list(zip(crew, load[i : i + connections]))
        for c, batch in busy:
            c.begin(batch)
        for c, _ in busy:
            c.finish()
    for c in crew:
        c.close()


def measure(server, name):
    """CPU microseconds per request."""
    setup, requests = CASES[name]
    c = server.client()
    server.helpers = None
    load = setup(c, server)
    before = server.cpu()
    if isinstance(load, PingPong):
        load.play()
    else:
        together(server, load)
    used = server.cpu() - before
    if server.helpers:
        server.helpers.close()
    c.close()
    return used / requests * 1e6


def memcpy_64mb_us(rounds=9):
    """What copying 64 MB to memory in use takes here: the measure for the bit commands, which read and write as much."""
    source, to = bytearray(b"x") * (64 << 20), bytearray(64 << 20)
    took = []
    for _ in range(rounds):
        t = time.thread_time()
        to[:] = source
        took.append(time.thread_time() - t)
    return statistics.median(took) * 1e6


def run(found, rounds, only, start):
    figures = {}
    if not only or any("64mb" in case for case in only):
        us = memcpy_64mb_us()
        figures["memcpy of 64 MB (no server)"] = {name: [us] for name, _ in found}
    for case in only or list(CASES):
        for _ in range(rounds):
            for name, binary in found:
                s = start(name, binary, "--maxclients", "12000", "--client-output-buffer-limit", "pubsub 0 0 0")
                try:
                    figures.setdefault(case, {}).setdefault(name, []).append(measure(s, case))
                finally:
                    s.stop()
        print(case, {n: round(statistics.median(v), 2) for n, v in figures[case].items()}, flush=True)
    return {"us": {c: {n: statistics.median(v) for n, v in by.items()} for c, by in figures.items()}}
