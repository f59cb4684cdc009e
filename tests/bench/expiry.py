"""How late keys with a TTL go: a million of them expire evenly over a minute, a subscriber notes when each event comes."""
import threading, time
from commands import fill
from servers import command

KEYS, SPAN_S = 1000000, 60


def due_ms(first, i):
    return int(first + i * SPAN_S * 1000 // KEYS)


def listen(server, lags, ready):
    """Fills `lags` (ms) from the events; the name of a key is `v:NUMBER:DUE`."""
    c = server.client()
    c.s.sendall(command("SUBSCRIBE", "__keyevent@0__:expired"))
    c.s.settimeout(15)
    ready.set()
    rest = b""
    try:
        while len(lags) < KEYS:
            rest += c.s.recv(1 << 18)
            now = time.time() * 1000
            *lines, rest = rest.split(b"\r\n")
            lags.extend(now - int(line.rsplit(b":", 1)[1]) for line in lines if line.startswith(b"v:"))
    except TimeoutError:
        pass


def fill_in_time(c, lead_s=20):
    """Writes the keys; returns when (Unix ms) the first is due. All of them are there before that."""
    while True:
        c.run(command("FLUSHALL"))
        first = (time.time() + lead_s) * 1000
        fill(c, (command("SET", f"v:{i}:{due_ms(first, i)}", "x", "PXAT", due_ms(first, i)) for i in range(KEYS)))
        if time.time() * 1000 < first:
            return first
        lead_s *= 2


def late(server):
    """The 99th percentile of the lag in ms, and the share of a CPU that the server took; keys that never went are infinitely late."""
    c = server.client()
    c.run(command("CONFIG", "SET", "notify-keyspace-events", "Ex"))
    first = fill_in_time(c)
    lags, ready = [], threading.Event()
    listener = threading.Thread(target=listen, args=(server, lags, ready))
    listener.start()
    ready.wait()
    time.sleep(max(0.0, first / 1000 - time.time()))
    before = server.cpu()
    time.sleep(SPAN_S)
    used = server.cpu() - before
    listener.join()
    lags.sort()
    at = KEYS * 99 // 100
    return (lags[at] if at < len(lags) else float("inf")), used / SPAN_S


def run(found, rounds, only, start):
    lag, cpu = {}, {}
    for name, binary in found:
        s = start(name, binary)
        try:
            lag[name], cpu[name] = late(s)
        finally:
            s.stop()
    return {"lag": {"1 M keys over a minute, p99": lag}, "cpu": {"1 M keys over a minute": cpu}}
