"""Requests per second and server CPU per request under redis-benchmark, the rows of which users know."""
import json, shlex, shutil, statistics, subprocess
from servers import command

# name: (redis-benchmark arguments, requests, pipeline)
ROWS = {
    "get_p1": ("-t get -d 32 -r 100000", 150000, 1),
    "set_p1": ("-t set -d 32 -r 100000", 150000, 1),
    "get_p16": ("-t get -d 32 -r 1000000", 1500000, 16),
    "set_p16": ("-t set -d 32 -r 1000000", 1500000, 16),
    "get_p64": ("-t get -d 32 -r 1000000", 3000000, 64),
    "set_p64": ("-t set -d 32 -r 1000000", 3000000, 64),
    "incr_p16": ("-t incr -r 100000", 1500000, 16),
    "lpush_p16": ("-t lpush -d 32", 1500000, 16),
    "rpop_p16": ("-t rpop -d 32", 1500000, 16),
    "sadd_p16": ("-t sadd -r 100000", 1500000, 16),
    "hset_p16": ("-t hset -d 32 -r 100000", 1500000, 16),
    "zadd_p16": ("-t zadd -r 100000", 1000000, 16),
    "zpopmin_p16": ("-t zpopmin -r 100000", 1000000, 16),
    "spop_p16": ("-t spop -r 100000", 1500000, 16),
    "lrange100_p4": ("-t lrange_100 -d 32", 100000, 4),
    "lrange600_p1": ("-t lrange_600 -d 32", 30000, 1),
    "mset_p8": ("-t mset -d 32 -r 1000000", 200000, 8),
    "set1k_p16": ("-t set -d 1024 -r 100000", 600000, 16),
    "get16k_p4": ("-t get -d 16384 -r 1000", 100000, 4),
    "hgetall_p8": ("-r 1000 hgetall bench:h", 200000, 8),
    "zrange_p8": ("zrange bench:z 0 99", 100000, 8),
    "xadd_p16": ("xadd bench:s MAXLEN ~ 10000 * f v g w", 600000, 16),
    "eval_p8": ("-r 1000 eval 'return redis.call(\"incrby\",KEYS[1],ARGV[1])' 1 k:__rand_int__ 2", 200000, 8),
}


def prepare(server):
    c = server.client()
    c.run(command("FLUSHALL"))
    c.run(command("HSET", "bench:h", *[x for i in range(50) for x in (f"field{i}", f"value{i}")]))
    c.run(command("ZADD", "bench:z", *[x for i in range(1000) for x in (i, f"member{i}")]))
    c.close()


def measure(server, row):
    """(requests/s, CPU us per request); None where the server cannot do it."""
    args, n, pipeline = ROWS[row]
    pin = ["taskset", "-c", "1"] if shutil.which("taskset") else []
    cmd = pin + ["redis-benchmark", "-p", str(server.port), "-n", str(n), "-P", str(pipeline), "-c", "50", "--csv"] + shlex.split(args)
    before = server.cpu()
    out = subprocess.run(cmd, capture_output=True, text=True, timeout=180).stdout
    used = server.cpu() - before
    rows = [l for l in out.splitlines() if l.startswith('"') and not l.startswith('"test"')]
    if not rows:
        return None
    return float(rows[-1].rsplit(",", 7)[1].strip('"')), used / n * 1e6


def run(found, rounds, only, start):
    rows = only or list(ROWS)
    live = [start(name, binary) for name, binary in found]
    result = {r: {s.name: [] for s in live} for r in rows}
    try:
        for _ in range(rounds):
            for row in rows:
                for s in live:
                    prepare(s)
                    figures = measure(s, row)
                    if figures:
                        result[row][s.name].append(figures)
    finally:
        for s in live:
            s.stop()
    median = lambda v, i: statistics.median(x[i] for x in v) if v else None
    return {
        "rps": {r: {n: median(v, 0) for n, v in by.items()} for r, by in result.items()},
        "us": {r: {n: median(v, 1) for n, v in by.items()} for r, by in result.items()},
    }
