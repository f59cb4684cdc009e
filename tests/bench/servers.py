"""Servers under measurement: starting, asking, and reading the CPU time they used.

Every server runs on its own port and folder, pinned to core 0; the load runs on core 1 (`pin_load`), so that what one takes
does not show in the other. CPU time comes from /proc and is the steady figure on a shared machine; requests per second are
what the clients saw.
"""
import os, shlex, shutil, signal, socket, subprocess, tempfile, time

PEERS = [("redis", ["redis-8.2.3", "redis-server"]), ("valkey", ["valkey-9.1.2", "valkey-server"])]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pin_load():
    if os.cpu_count() > 1:
        os.sched_setaffinity(0, {1})


def command(*args):
    """One request in RESP."""
    out = [b"*%d\r\n" % len(args)]
    for a in args:
        a = a if isinstance(a, bytes) else str(a).encode()
        out.append(b"$%d\r\n%s\r\n" % (len(a), a))
    return b"".join(out)


class Client:
    """A connection that sends prepared bytes and waits for the end of their replies without parsing them."""

    MARK = b"$12\r\n--the-end--\n\r\n"

    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.end = command("ECHO", "--the-end--\n")

    def send(self, data):
        self.s.sendall(data)

    def run(self, data):
        """Sends `data`, waits until everything was answered."""
        self.begin(data)
        self.finish()

    def begin(self, data):
        self.s.sendall(data + self.end)

    def finish(self):
        tail = b""
        while not tail.endswith(self.MARK):
            more = self.s.recv(1 << 18)
            if not more:
                raise ConnectionError("the server closed the connection")
            tail = (tail + more)[-64:]

    def ask(self, *args):
        """One command, its reply as bytes (small replies only)."""
        self.s.sendall(command(*args))
        reply = self.s.recv(1 << 16)
        if reply.startswith(b"$") and not reply.startswith(b"$-1"):
            need = int(reply[1 : reply.index(b"\r")]) + reply.index(b"\n") + 3
            while len(reply) < need:
                reply += self.s.recv(1 << 16)
        return reply

    def close(self):
        self.s.close()


class Server:
    """One server, started with nothing but a port and a folder."""

    def __init__(self, name, binary, *extra):
        self.name, self.binary, self.extra = name, binary, list(extra)
        self.port, self.dir = free_port(), tempfile.mkdtemp(prefix="bench-")
        self.start()

    def start(self, *more):
        pin = ["taskset", "-c", "0"] if os.cpu_count() > 1 and shutil.which("taskset") else []
        base = ["--port", str(self.port), "--save", "", "--dir", self.dir, "--loglevel", "warning"]
        if "{port}" in self.binary:
            cmd = pin + shlex.split(self.binary.format(port=self.port, dir=self.dir))
        else:
            cmd = pin + shlex.split(self.binary) + base + self.extra + list(more)
        self.p = subprocess.Popen(cmd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(20000):
            try:
                c = Client(self.port)
                if b"PONG" in c.ask("PING"):
                    return
            except OSError:
                pass
            time.sleep(0.003)
        raise SystemExit(f"{self.name} does not answer")

    def client(self):
        return Client(self.port)

    def cpu(self):
        """CPU seconds used so far, to the nanosecond where the kernel tells."""
        try:
            total = 0
            for task in os.listdir(f"/proc/{self.p.pid}/task"):
                total += int(open(f"/proc/{self.p.pid}/task/{task}/schedstat").read().split()[0])
            return total / 1e9
        except OSError:
            f = open(f"/proc/{self.p.pid}/stat").read().rsplit(")", 1)[1].split()
            return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")

    def rss(self):
        line = [l for l in open(f"/proc/{self.p.pid}/status") if l.startswith("VmRSS")][0]
        return int(line.split()[1]) * 1024

    def info(self, field):
        text = self.client().ask("INFO", "everything").decode(errors="replace")
        return next((l.split(":", 1)[1] for l in text.split("\r\n") if l.startswith(field + ":")), None)

    def stop(self):
        self.p.send_signal(signal.SIGKILL)
        self.p.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def find(named):
    """[(name, binary)]: what was named on the command line, or the peers in PATH; ours last."""
    found = [tuple(n.split("=", 1)) for n in named]
    if len(found) > 1:
        return found
    peers = []
    for name, candidates in PEERS:
        path = next((shutil.which(c) for c in candidates if shutil.which(c)), None)
        if path:
            peers.append((name, path))
    return peers + (found or [("redstart", "target/release/redis-server")])
