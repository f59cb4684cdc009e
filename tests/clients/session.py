#!/usr/bin/env python3
"""A day of a Python application against the built server, by hand: cache-aside with times to live, sessions as hashes, a
leaderboard, pipelines and transactions, pub/sub, BGSAVE, a restart with the data still there, and the supervisor's protocol.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install redis
    /tmp/venv/bin/python tests/clients/session.py [SERVER] [--config FILE]

SERVER is target/release/redis-server unless given. With --config the server is started as Debian's unit starts it: with that file
(say /etc/redis/redis.conf) and `--supervised systemd --daemonize no`; only port and folders are taken elsewhere. Every step says
what it did; the first thing that differs from Redis ends the session with status 1.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import redis


class Supervisor:
    """The receiving end of NOTIFY_SOCKET, as systemd is."""

    def __init__(self, folder: Path):
        self.path = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(10)

    def expect(self, word: str):
        seen = ""
        while word not in seen:
            seen += self.socket.recv(4096).decode()
        print(f"  supervisor was told: {word}")


class Server:
    """One server process in a folder of its own."""

    def __init__(self, binary: Path, folder: Path, config: str | None):
        self.binary, self.folder, self.config = binary, folder, config
        self.supervisor = Supervisor(folder)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.process = None

    def start(self) -> redis.Redis:
        args = [str(self.binary)]
        args += [self.config] if self.config else []
        args += ["--supervised", "systemd", "--daemonize", "no", "--port", str(self.port), "--dir", str(self.folder)]
        args += ["--logfile", str(self.folder / "server.log"), "--pidfile", str(self.folder / "server.pid")]
        environment = dict(os.environ, NOTIFY_SOCKET=str(self.supervisor.path))
        self.process = subprocess.Popen(args, env=environment, cwd=self.folder)
        self.supervisor.expect("READY=1")
        client = redis.Redis(port=self.port, decode_responses=True)
        check(client.ping(), "PING")
        check((self.folder / "server.pid").read_text().strip() == str(self.process.pid), "pid file")
        return client

    def stop(self):
        self.process.terminate()
        self.supervisor.expect("STOPPING=1")
        check(self.process.wait(timeout=20) == 0, "clean end after SIGTERM")
        check(not (self.folder / "server.pid").exists(), "pid file removed")


def check(ok, what: str):
    if not ok:
        print(f"FAILED: {what}")
        sys.exit(1)
    print(f"  {what}")


def cache_aside(r: redis.Redis):
    """Ask the cache, fall back to the database, fill the cache for a while."""
    asked = []

    def article(number: int) -> str:
        text = r.get(f"article:{number}")
        if text is None:
            asked.append(number)
            text = f"text of {number}"
            r.set(f"article:{number}", text, ex=60)
        return text

    for _ in range(3):
        check(article(7) == "text of 7", "cached article")
    check(asked == [7] and 0 < r.ttl("article:7") <= 60, "the database was asked once, the copy has a time to live")
    r.set("short", "x", px=30)
    time.sleep(0.1)
    check(r.get("short") is None, "a short-lived key is gone")
    check(r.set("lock", "me", nx=True, ex=10) and r.set("lock", "you", nx=True, ex=10) is None, "SET NX as a lock")


def sessions(r: redis.Redis):
    r.hset("session:1", mapping={"user": "ada", "cart": 3})
    check(r.hincrby("session:1", "cart", 2) == 5, "HINCRBY")
    check(r.hgetall("session:1") == {"user": "ada", "cart": "5"}, "HGETALL")
    check(r.hexpire("session:1", 100, "cart") == [1] and r.httl("session:1", "cart")[0] > 90, "a field with a time to live")


def leaderboard(r: redis.Redis):
    r.zadd("board", {f"player:{i}": i * 10 for i in range(1000)})
    r.zincrby("board", 5000, "player:3")
    top = r.zrevrange("board", 0, 1, withscores=True)
    check(top == [("player:999", 9990.0), ("player:998", 9980.0)], "the best two")
    check(r.zrevrank("board", "player:3") == 497, "a rank (equal scores go by name)")
    check(r.zcount("board", 0, 100) == 10, "ZCOUNT")


def pipelines(r: redis.Redis):
    with r.pipeline(transaction=False) as p:
        for i in range(5000):
            p.set(f"bulk:{i}", i)
        check(all(p.execute()), "a pipeline of 5000")
    with r.pipeline() as p:
        p.watch("bulk:1")
        value = int(p.get("bulk:1"))
        p.multi()
        p.set("bulk:1", value + 1)
        check(p.execute() == [True] and r.get("bulk:1") == "2", "WATCH, MULTI, EXEC")
    check(len(list(r.scan_iter("bulk:*", count=500))) == 5000, "SCAN finds each")


def messages(r: redis.Redis):
    heard = []
    sub = r.pubsub()
    sub.subscribe(news=lambda m: heard.append(m["data"]))
    thread = sub.run_in_thread(sleep_time=0.01)
    time.sleep(0.2)
    r.publish("news", "hello")
    time.sleep(0.2)
    thread.stop()
    check(heard == ["hello"], "a message was heard")
    pushed = threading.Timer(0.2, lambda: r.rpush("queue", "job"))
    pushed.start()
    check(r.blpop("queue", timeout=5) == ("queue", "job"), "BLPOP woke up")


def save(r: redis.Redis):
    before = r.lastsave()
    time.sleep(1.1)
    check(r.bgsave(), "BGSAVE")
    for _ in range(100):
        if r.lastsave() > before:
            break
        time.sleep(0.1)
    check(r.info("persistence")["rdb_last_bgsave_status"] == "ok", "saved")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", nargs="?", default="target/release/redis-server")
    parser.add_argument("--config", help="configuration file to start with")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="redstart-session-"))
    server = Server(Path(options.server).resolve(), folder, options.config)
    try:
        r = server.start()
        print(f"{r.info('server').get('server_name')} {r.info('server')['redis_version']} on port {server.port}")
        for step in (cache_aside, sessions, leaderboard, pipelines, messages, save):
            print(f"{step.__name__}:")
            step(r)
        size = r.dbsize()
        server.stop()
        print("restart:")
        r = server.start()
        check(r.dbsize() == size, f"all {size} keys are there")
        check(r.hget("session:1", "user") == "ada" and r.zscore("board", "player:3") == 5030, "with their values")
        server.stop()
        log = (folder / "server.log").read_text()
        check("Ready to accept connections" in log and "DB loaded from disk" in log, "log file")
    finally:
        if server.process and server.process.poll() is None:
            server.process.kill()
        shutil.rmtree(folder, ignore_errors=True)
    print("the session went as it does with Redis")


if __name__ == "__main__":
    main()
