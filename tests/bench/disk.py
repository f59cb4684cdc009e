"""What durability costs: writing beside an append-only file, loading, saving."""
import os, shutil, statistics, subprocess, time
from commands import fill
from servers import command

RECORDS, KEYS = 2000000, 5000000


def bench(server, n, pipeline, clients):
    pin = ["taskset", "-c", "1"] if shutil.which("taskset") else []
    args = ["redis-benchmark", "-p", str(server.port), "-n", str(n), "-P", str(pipeline), "-c", str(clients), "--csv", "-t", "set", "-d", "32", "-r", "1000000"]
    before = server.cpu()
    out = subprocess.run(pin + args, capture_output=True, text=True, timeout=300).stdout
    rps = float(out.splitlines()[-1].split(",")[1].strip('"'))
    return rps, (server.cpu() - before) / n * 1e6


def reload_time(s, *more):
    """Seconds from the start of the process until it answers."""
    s.p.terminate()
    s.p.wait()
    t = time.time()
    s.start(*more)
    return time.time() - t


def run(found, rounds, only, start):
    us, rps, seconds = {}, {}, {}
    note = lambda table, row, name, v: table.setdefault(row, {}).setdefault(name, []).append(v)
    for _ in range(rounds):
        for name, binary in found:
            for row, extra, n, pipeline in [
                ("SET P16, no AOF", [], 1000000, 16),
                ("SET P16, everysec", ["--appendonly", "yes"], 1000000, 16),
                ("SET P1, always, 50 clients", ["--appendonly", "yes", "--appendfsync", "always"], 20000, 1),
            ]:
                s = start(name, binary, *extra)
                r, u = bench(s, n, pipeline, 50)
                note(rps, row, name, r)
                note(us, row, name, u)
                s.stop()
            s = start(name, binary, "--appendonly", "yes", "--auto-aof-rewrite-percentage", "0")
            fill(s.client(), (command("SET", f"key:{i:012d}", f"{i:016x}") for i in range(RECORDS)))
            note(seconds, "load AOF of 2 M SETs", name, reload_time(s))
            s.stop()
            s = start(name, binary)
            fill(s.client(), (command("SET", f"key:{i:012d}", f"{i:016x}") for i in range(KEYS)))
            t = time.time()
            s.client().run(command("BGSAVE"))
            while s.info("rdb_bgsave_in_progress").strip() == "1":
                time.sleep(0.02)
            note(seconds, "BGSAVE of 5 M keys", name, time.time() - t)
            note(seconds, "load RDB of 5 M keys", name, reload_time(s))
            s.stop()
    median = lambda t: {row: {n: statistics.median(v) for n, v in by.items()} for row, by in t.items()}
    return {"us": median(us), "rps": median(rps), "s": median(seconds)}
