#!/usr/bin/env python3
"""Makes the golden files of this folder with the real servers, and beside each file what the server itself says is in it.

usage: generate.py NAME=PROGRAM...    e.g.  redis-7.0.15=redis-server redis-8.2.3=redis-8.2.3 valkey-9.1.2=valkey-9.1.2

NAME.rdb     SAVE of a small database with every type and encoding
NAME.expect  one line per key: db, type, key, expire, content (strings in hex), as asked over the wire
NAME.dumps   one line per key: key, DUMP payload (hex)
old-formats.rdb/.expect  a file of encodings before 7.0 put together here, and what the first server loads from it
"""
import os, socket, struct, subprocess, sys, tempfile, time

PORT = 22350
HERE = os.path.dirname(os.path.abspath(__file__))


class Client:
    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.file = self.sock.makefile("rb")

    def __call__(self, *args):
        args = [a if isinstance(a, bytes) else str(a).encode() for a in args]
        self.sock.sendall(b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in args))
        return self.reply()

    def reply(self):
        line = self.file.readline()[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            return Exception(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.reply() for _ in range(int(rest))]
        return rest


def start(program, folder):
    process = subprocess.Popen([program, "--port", str(PORT), "--dir", folder, "--save", "", "--enable-debug-command", "yes"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            return process, Client(PORT)
        except OSError:
            time.sleep(0.05)
    raise SystemExit("server did not start: " + program)


def stop(process, c):
    try:
        c("shutdown", "nosave")
    except Exception:
        pass
    process.wait()


def fill(c):
    for key, value in (("int8", -128), ("int16", 32767), ("int32", 2147483647), ("int64", 2147483648), ("max", 2**63 - 1),
                       ("raw", "hello"), ("empty", ""), ("zeros", "0012"), ("lzf", "a" * 100), ("at20", "a" * 20), ("at21", "a" * 21),
                       ("mixed", b"abcabcabcabcabcabcabcabc\x00\xff\xfe" * 5)):
        c("set", "str:" + key, value)
    c("set", 12345, "an integer as key")
    c("set", "expiring", 1, "pxat", 4000000000000)
    c("rpush", "list:small", "a", "b", 1, -5, 300, 70000, -(2**33), 2**62, "x" * 70, "y" * 200)
    c("config", "set", "list-max-listpack-size", 2)
    c("rpush", "list:nodes", *"abcde")
    c("rpush", "list:plain", "p" * 9000, "q")
    c("rpush", "list:sole", "s")
    c("config", "set", "list-compress-depth", 1)
    c("rpush", "list:compressed", *["w" * 60] * 8)
    c("config", "set", "list-compress-depth", 0)
    c("config", "set", "list-max-listpack-size", -2)
    c("sadd", "set:int16", 1, 2, 300)
    c("sadd", "set:int32", 1, -70000)
    c("sadd", "set:int64", 1, 7000000000)
    c("sadd", "set:packed", "a", "b", 1)
    c("hset", "hash:packed", "f", "v", "n", 5)
    c("hset", "hash:packedttl", "f", "v", "n", 5, "x", "y")
    c("zadd", "zset:packed", 1, "a", 2.5, "b", "-inf", "c", "1e300", "d")
    for name in ("set", "hash", "zset"):
        c("config", "set", name + "-max-listpack-entries", 1)
    c("sadd", "set:table", "b1")
    c("sadd", "set:table", 9, "c" * 30)
    c("hset", "hash:table", "f", "v", "n", 5)
    c("hset", "hash:tablettl", "f", "v", "n", 5, "x", "y")
    c("zadd", "zset:tree", 1, "a", 2.5, "b", "inf", "d", "-inf", "c", 0.1, "e")
    for name in ("set", "hash", "zset"):
        c("config", "set", name + "-max-listpack-entries", 128)
    for key in ("hash:packedttl", "hash:tablettl"):
        c("hpexpireat", key, 4000000000000, "fields", 1, "f")
        c("hpexpireat", key, 3900000000000, "fields", 1, "n")
    for ident, *fields in (("1-1", "f", "v"), ("1-2", "f", "w"), ("5-0", "g", "w", "h", "2"), ("5-7", "f", "z")):
        c("xadd", "stream:groups", ident, *fields)
    c("xdel", "stream:groups", "1-2")
    c("xgroup", "create", "stream:groups", "g1", 0)
    c("xreadgroup", "group", "g1", "alice", "count", 2, "streams", "stream:groups", ">")
    c("xgroup", "createconsumer", "stream:groups", "g1", "bob")
    c("xreadgroup", "group", "g1", "carol", "count", 1, "streams", "stream:groups", ">")
    c("xgroup", "create", "stream:empty", "g", "$", "mkstream")
    c("config", "set", "stream-node-max-entries", 3)
    for i in range(10):
        c("xadd", "stream:nodes", f"{1000 + i}-{i}", "field", i)
    c("xadd", "stream:plain", "7-7", "a", "b")
    c("function", "load", "#!lua name=mylib\nredis.register_function('f', function() return 1 end)")
    c("select", 3)
    c("set", "in db 3", "x")
    c("select", 0)


def hexed(*parts):
    return ",".join(p.hex() for p in parts)


def content(c, kind, key):
    if kind == "string":
        return c("get", key).hex()
    if kind == "list":
        return hexed(*c("lrange", key, 0, -1))
    if kind == "set":
        return ",".join(sorted(m.hex() for m in c("smembers", key)))
    if kind == "hash":
        pairs = c("hgetall", key)
        out = []
        for field, value in zip(pairs[::2], pairs[1::2]):
            ttl = c("hpexpiretime", key, "fields", 1, field)
            ttl = "" if isinstance(ttl, Exception) or ttl[0] < 0 else f"@{ttl[0]}"
            out.append(field.hex() + "=" + value.hex() + ttl)
        return ",".join(sorted(out))
    if kind == "zset":
        pairs = c("zrange", key, 0, -1, "withscores")
        return ",".join(m.hex() + "=" + struct.pack(">d", float(s)).hex() for m, s in zip(pairs[::2], pairs[1::2]))
    entries = "/".join(e[0].decode() + ":" + hexed(*e[1]) for e in c("xrange", key, "-", "+"))
    info = c("xinfo", "stream", key, "full", "count", 0)
    info = dict(zip(info[::2], info[1::2]))
    groups = []
    for group in info[b"groups"]:
        group = dict(zip(group[::2], group[1::2]))
        consumers = []
        for consumer in group[b"consumers"]:
            consumer = dict(zip(consumer[::2], consumer[1::2]))
            own = "+".join(p[0].decode() for p in consumer.get(b"pending", consumer.get(b"pel")))
            consumers.append(consumer[b"name"].hex() + ":" + own)
        groups.append(group[b"name"].hex() + "@" + group[b"last-delivered-id"].decode() + "(" + ";".join(consumers) + ")")
    return f"{info[b'length']} {info[b'last-generated-id'].decode()} {entries} {' '.join(groups)}".rstrip()


def expectations(c, dumps=None):
    lines = []
    for db in range(16):
        c("select", db)
        for key in sorted(c("keys", "*")):
            kind = c("type", key).decode()
            lines.append(f"{db}\t{kind}\t{key.hex()}\t{c('pexpiretime', key)}\t{content(c, kind, key)}\n")
            if dumps is not None and db == 0:
                dumps.append(f"{key.decode()}\t{c('dump', key).hex()}\n")
    c("select", 0)
    return "".join(lines)


def write(name, data):
    mode = "wb" if isinstance(data, bytes) else "w"
    with open(os.path.join(HERE, name), mode) as file:
        file.write(data)


def server_file(name, program):
    with tempfile.TemporaryDirectory() as folder:
        process, c = start(program, folder)
        fill(c)
        dumps = []
        c("config", "set", "rdbcompression", "no")  # LZF bytes differ between implementations
        write(name + ".expect", expectations(c, dumps))
        write(name + ".dumps", "".join(dumps))
        c("config", "set", "rdbcompression", "yes")
        assert c("save") == b"OK"
        with open(os.path.join(folder, "dump.rdb"), "rb") as file:
            write(name + ".rdb", file.read())
        stop(process, c)


def short(text):
    text = text if isinstance(text, bytes) else text.encode()
    assert len(text) < 64
    return bytes([len(text)]) + text


def blob(data):
    return struct.pack(">B", 0x40 | len(data) >> 8) + bytes([len(data) & 255]) + data


def ziplist(*items):
    body, before, last = b"", 0, 10
    for item in items:
        last = 10 + len(body)
        entry = bytes([before]) if before < 254 else b"\xfe" + struct.pack("<I", before)
        if isinstance(item, int):
            if 0 <= item <= 12:
                entry += bytes([0xF1 + item])
            elif -128 <= item < 128:
                entry += b"\xfe" + struct.pack("<b", item)
            elif -2**15 <= item < 2**15:
                entry += b"\xc0" + struct.pack("<h", item)
            elif -2**23 <= item < 2**23:
                entry += b"\xf0" + struct.pack("<i", item)[:3]
            elif -2**31 <= item < 2**31:
                entry += b"\xd0" + struct.pack("<i", item)
            else:
                entry += b"\xe0" + struct.pack("<q", item)
        elif len(item) < 64:
            entry += bytes([len(item)]) + item
        else:
            entry += bytes([0x40 | len(item) >> 8, len(item) & 255]) + item
        before = len(entry)
        body += entry
    return struct.pack("<IIH", 11 + len(body), last, len(items)) + body + b"\xff"


def zipmap(*pairs):
    out = bytes([len(pairs)])
    for field, value, free in pairs:
        out += bytes([len(field)]) + field + bytes([len(value), free]) + value + b"\0" * free
    return out + b"\xff"


def crc64(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x95AC9329AC4BC9B5 if crc & 1 else crc >> 1
    return crc


def old_formats(program):
    ints = [0, 12, 13, -1, 127, -128, 200, -30000, 40000, -8000000, 9000000, -2**31, 2**40, -2**62]
    out = b"REDIS0009\xfe\x00"
    out += b"\xfd" + struct.pack("<i", 2000000000) + b"\x00" + short("expire seconds") + short("v")
    out += b"\xf8\x05\x00" + short("idle") + short("v") + b"\xf9\x07\x00" + short("freq") + short("v")
    out += b"\x01" + short("list linked") + b"\x03" + short("a") + b"\xc0\x05" + short("c" * 40)
    out += b"\x0a" + short("list ziplist") + blob(ziplist(b"a", *ints, b"x" * 63, b"y" * 64, b"z" * 300, b"after"))
    out += b"\x0e" + short("quicklist") + b"\x02" + blob(ziplist(b"a", 1)) + blob(ziplist(b"b"))
    out += b"\x03" + short("zset v1") + b"\x04" + short("a") + b"\x031.5" + short("b") + b"\xfe" + short("c") + b"\xff" + short("d") + b"\x06-1e-10"
    out += b"\x0c" + short("zset ziplist") + blob(ziplist(b"m", -3, b"n", b"0.5", b"o", 7))
    out += b"\x0d" + short("hash ziplist") + blob(ziplist(b"f", b"v", b"g", 12, 5, b"five"))
    out += b"\x09" + short("hash zipmap") + blob(zipmap((b"f", b"v", 0), (b"key", b"value", 3), (b"n", b"12", 0)))
    node = bytes.fromhex("00000000000000010000000000000001")
    listpack = bytes.fromhex("1d0000000a000101000101018166020001020100010001817602040 1ff".replace(" ", ""))
    listpack = struct.pack("<I", len(listpack)) + listpack[4:]
    out += b"\x0f" + short("stream v1") + b"\x01" + b"\x10" + node + bytes([len(listpack)]) + listpack + b"\x01\x01\x01\x01"
    out += short("g") + b"\x01\x01\x01" + node + struct.pack("<q", 1700000000000) + b"\x02\x01" + short("c") + struct.pack("<q", 1700000000001) + b"\x01" + node
    out += b"\xff"
    out += struct.pack("<Q", crc64(out))
    write("old-formats.rdb", out)
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "dump.rdb"), "wb") as file:
            file.write(out)
        process, c = start(program, folder)
        write("old-formats.expect", expectations(c))
        stop(process, c)


for number, argument in enumerate(sys.argv[1:]):
    server_name, server_program = argument.split("=")
    server_file(server_name, server_program)
    if number == 0:
        old_formats(server_program)
