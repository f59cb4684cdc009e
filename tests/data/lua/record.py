#!/usr/bin/env python3
"""Records what the script libraries of a real server answer to thousands of seeded random calls.

    redis-8.2.3 --port 31400 --save "" &
    python3 tests/data/lua/record.py 31400        # rewrites {cjson,cmsgpack,struct,bit}.txt beside this file

One case per line: the Lua expression, a tab, what `prelude.lua` makes of its results, in which bytes that are not printable ASCII
(and the backslash) are written \\xHH. The lines run in order in one Lua state: `src/script/lib/replay.rs`
runs them against our libraries.
"""
import os, random, socket, struct, sys

HERE = os.path.dirname(os.path.abspath(__file__))
PRELUDE = open(os.path.join(HERE, 'prelude.lua')).read()


def escape(b):
    return ''.join(chr(c) if 32 <= c < 127 and c != 92 else '\\x%02x' % c for c in b)


class Server:
    def __init__(self, port):
        self.sock = socket.create_connection(('127.0.0.1', port))
        self.file = self.sock.makefile('rb')

    def eval(self, text):
        text = text.encode('latin-1')
        self.sock.sendall(b'*3\r\n$4\r\nEVAL\r\n$%d\r\n%s\r\n$1\r\n0\r\n' % (len(text), text))
        head = self.file.readline()
        if head[:1] != b'$':
            raise SystemExit('%r for %r' % (head, text[-300:]))
        n = int(head[1:])
        return self.file.read(n + 2)[:-2]


def lua_string(b):
    return "'" + ''.join(chr(c) if 32 <= c < 127 and c not in (39, 92) else '\\%03d' % c for c in b) + "'"


class Gen:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def bytes(self, most=12):
        r = self.r
        n = r.choice([0, 1, 2, 3, r.randrange(most + 1)])
        alphabet = r.choice([bytes(range(256)), b'abcxyz019 ', b'"\\/\b\f\n\r\t\x00\x1f\x7f', b'\xc3\xa9\xe2\x82\xac'])
        return bytes(r.choice(alphabet) for _ in range(n))

    def number(self):
        r = self.r
        k = r.randrange(12)
        if k < 4:
            return str(r.randrange(-300, 300))
        if k < 6:
            return str(r.choice([1, -1]) * (2 ** r.randrange(0, 64) + r.randrange(-2, 3)))
        if k == 6:
            return repr(r.uniform(-1000, 1000))
        if k == 7:
            return repr(r.uniform(-1, 1) * 10.0 ** r.randrange(-320, 308))
        if k == 8:
            return r.choice(['0.5', '1.5', '2.5', '-0.5', '1e14', '1e15', '123456789012345', '0.1', '1/3', '-0.0', '5e-324', '100', '1e100'])
        if k == 9:
            return '2^%d' % r.randrange(-60, 70)
        if k == 10:
            return repr(struct.unpack('<f', struct.pack('<f', r.uniform(-100, 100)))[0])
        return str(r.randrange(-10 ** r.randrange(1, 19), 10 ** r.randrange(1, 19)))

    def value(self, depth, json=True):
        r = self.r
        k = r.randrange(14 if depth > 0 else 9)
        if k < 3:
            return self.number()
        if k < 6:
            return lua_string(self.bytes())
        if k == 6:
            return r.choice(['true', 'false'])
        if k == 7:
            return r.choice(['cjson.null', 'nil', 'true'])
        if k == 8:
            return r.choice(['0/0', '1/0', '-1/0', 'string.len', 'coroutine.create(string.len)', '{}', '1', "'x'", '{}'])
        if k < 11:
            return '{' + ','.join(self.value(depth - 1) for _ in range(r.choice([0, 1, 2, 3, r.randrange(20)]))) + '}'
        if k == 11:
            return '{' + ','.join('[%s]=%s' % (r.choice([str(r.randrange(1, 8)), str(r.randrange(1, 40)), self.number()]), self.value(depth - 1)) for _ in range(r.randrange(1, 6))) + '}'
        keys = [self.key() for _ in range(r.randrange(1, 6))]
        return '{' + ','.join('[%s]=%s' % (k, self.value(depth - 1)) for k in keys) + '}'

    def key(self):
        r = self.r
        k = r.randrange(10)
        if k < 6:
            return lua_string(bytes(r.choice(b'abcdefgh') for _ in range(r.randrange(1, 8))))
        if k < 8:
            return lua_string(self.bytes())
        if k == 8:
            return self.number()
        return r.choice(['true', 'cjson.null', '1', '1.5', "''"])

    def json(self, depth):
        r = self.r
        k = r.randrange(12 if depth > 0 else 8)
        ws = lambda: r.choice(['', '', '', ' ', '\t', '\n', '\r '])
        if k < 3:
            return ws() + r.choice([self.number(), str(r.randrange(-99, 99)), '%de%d' % (r.randrange(100), r.randrange(-20, 20)), '%.4f' % r.uniform(-9, 9), '1E5', '1.5e+3', '0x1F', '01', '-0', '1e400', 'nan', 'inf', '-Infinity', 'NaN']).replace('/', '') + ws()
        if k < 6:
            return ws() + self.json_string() + ws()
        if k < 8:
            return ws() + r.choice(['true', 'false', 'null']) + ws()
        if k < 10:
            return ws() + '[' + ','.join(self.json(depth - 1) for _ in range(r.randrange(5))) + ']' + ws()
        return ws() + '{' + ','.join(ws() + self.json_string() + ws() + ':' + self.json(depth - 1) for _ in range(r.randrange(5))) + '}' + ws()

    def json_string(self):
        r = self.r
        out = ''
        for _ in range(r.choice([0, 1, 2, 5, 9])):
            k = r.randrange(9)
            if k < 5:
                out += r.choice('abcXYZ 09:,{}[]')
            elif k == 5:
                out += r.choice(['\\n', '\\t', '\\"', '\\\\', '\\/', '\\b', '\\f', '\\r'])
            elif k == 6:
                out += '\\u%04x' % r.choice([0, 9, 65, 0x7f, 0x80, 0xe9, 0x7ff, 0x800, 0x20ac, 0xd7ff, 0xe000, 0xffff])
            elif k == 7:
                out += '\\u%04X\\u%04x' % (r.randrange(0xd800, 0xdc00), r.randrange(0xdc00, 0xe000))
            else:
                out += r.choice(['\x01', '\x7f', '\xc3\xa9', '\xff', '\n'])
        return '"' + out + '"'

    def damage(self, s):
        """Changes, removes, inserts or cuts a byte or two of `s`."""
        r = self.r
        s = bytearray(s)
        for _ in range(r.randrange(1, 3)):
            if not s:
                break
            i = r.randrange(len(s))
            k = r.randrange(4)
            if k == 0:
                s[i] = r.randrange(256)
            elif k == 1:
                del s[i]
            elif k == 2:
                s.insert(i, r.choice(b'{}[],:"\\0-ntfuE.\x00\x80\xff'))
            else:
                del s[i:]
        return bytes(s)


def cjson_cases():
    g = Gen(1)
    r = g.r
    for _ in range(900):
        yield 'cjson.encode(%s)' % g.value(3)
    for _ in range(700):
        yield 'cjson.decode(%s)' % lua_string(g.json(3).encode('latin-1'))
    for _ in range(900):
        yield 'cjson.decode(%s)' % lua_string(g.damage(g.json(3).encode('latin-1')))
    for _ in range(150):
        yield 'cjson.decode(%s)' % lua_string(g.bytes(30))
    options = ['true', 'false', "'on'", "'off'", "'null'", "'x'", 'nil', '1', '{}', '-1', '0', '1.5']
    names = ['encode_sparse_array', 'encode_max_depth', 'decode_max_depth', 'encode_number_precision', 'encode_keep_buffer', 'encode_invalid_numbers', 'decode_invalid_numbers', 'encode', 'decode']
    for name in names:
        yield 'cjson.%s()' % name
        for a in options:
            yield 'cjson.%s(%s)' % (name, a)
            yield 'cjson.%s(%s,%s)' % (name, a, r.choice(options + ['2', '3']))
        yield 'cjson.%s(true,3,5)' % name
        yield 'cjson.%s(true,3,5,7)' % name
    for _ in range(40):
        yield r.choice(['cjson.encode_sparse_array(%s,%d,%d)' % (r.choice(['true', 'false']), r.randrange(5), r.randrange(12)),
                        'cjson.encode_max_depth(%d)' % r.randrange(1, 8), 'cjson.decode_max_depth(%d)' % r.randrange(1, 8),
                        'cjson.encode_number_precision(%d)' % r.randrange(1, 15),
                        'cjson.encode_invalid_numbers(%s)' % r.choice(['true', 'false', "'null'"]),
                        'cjson.decode_invalid_numbers(%s)' % r.choice(['true', 'false'])])
        for _ in range(8):
            yield 'cjson.encode(%s)' % g.value(4)
            yield 'cjson.decode(%s)' % lua_string(g.json(4).encode('latin-1'))
    yield '(function() local n=cjson.new() n.encode_max_depth(1) return n.encode({1}),pcall(n.encode,{{1}}) end)()'


def msgpack(g, depth):
    """A random MessagePack value, not always in its shortest form."""
    r = g.r
    k = r.randrange(17 if depth > 0 else 13)
    n = r.choice([0, 1, 2, 3, 7])
    b = bytes(r.randrange(256) for _ in range(n))
    if k == 0:
        return bytes([r.choice([0xc0, 0xc2, 0xc3])])
    if k < 3:
        return bytes([r.randrange(0x80)])
    if k == 3:
        return bytes([r.randrange(0xe0, 0x100)])
    if k < 6:
        t = r.choice([0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3])
        return bytes([t]) + bytes(r.randrange(256) for _ in range(1 << (t & 3)))
    if k == 6:
        return b'\xca' + struct.pack('>f', r.uniform(-9, 9))
    if k == 7:
        return b'\xcb' + struct.pack('>d', r.uniform(-9, 9))
    if k < 11:
        return r.choice([bytes([0xa0 | n]), bytes([0xd9, n]), struct.pack('>BH', 0xda, n), struct.pack('>BI', 0xdb, n)]) + b
    if k == 11:
        return r.choice([bytes([0xc4, n]), struct.pack('>BH', 0xc5, n), bytes([0xc7, n, 1]), b'\xd4\x01', b'\xc1', b'\xd8'])+ b
    if k == 12:
        return bytes([r.randrange(256)])
    n = r.randrange(4)
    if k < 15:
        head = r.choice([bytes([0x90 | n]), struct.pack('>BH', 0xdc, n), struct.pack('>BI', 0xdd, n)])
        return head + b''.join(msgpack(g, depth - 1) for _ in range(n))
    head = r.choice([bytes([0x80 | n]), struct.pack('>BH', 0xde, n), struct.pack('>BI', 0xdf, n)])
    return head + b''.join(msgpack(g, 0) + msgpack(g, depth - 1) for _ in range(n))


def cmsgpack_cases():
    g = Gen(2)
    r = g.r
    yield 'cmsgpack.pack()'
    for _ in range(900):
        yield 'cmsgpack.pack(%s)' % ','.join(g.value(3) for _ in range(r.choice([1, 1, 1, 2, 4])))
    for n in (15, 16, 31, 32, 255, 256, 65535, 65536):
        yield "#cmsgpack.pack(string.rep('a',%d))" % n
        yield "cmsgpack.pack(string.rep('a',%d)):sub(1,8)" % n
    for n in (15, 16, 65535, 65536):
        yield '(function() local t={} for i=1,%d do t[i]=i end return cmsgpack.pack(t):sub(1,16) end)()' % n
        yield '(function() local t={} for i=1,%d do t["k"..i]=i end return cmsgpack.pack(t):sub(1,5) end)()' % n
    for n in range(14, 20):
        yield '(function() local t=1 for i=1,%d do t={t} end return cmsgpack.pack(t) end)()' % n
    for _ in range(900):
        yield 'cmsgpack.unpack(%s)' % lua_string(b''.join(msgpack(g, 3) for _ in range(r.choice([1, 1, 1, 2, 3]))))
    for _ in range(500):
        yield 'cmsgpack.unpack(%s)' % lua_string(g.damage(b''.join(msgpack(g, 3) for _ in range(2))))
    for _ in range(300):
        data = lua_string(b''.join(msgpack(g, 1) for _ in range(r.randrange(6))))
        arg = lambda: r.choice(['0', '1', '2', '3', '5', '-1', '9', '1.5', "'1'", "'x'", '{}'])
        yield r.choice(['cmsgpack.unpack_one(%s,%s)' % (data, arg()), 'cmsgpack.unpack_limit(%s,%s)' % (data, arg()),
                        'cmsgpack.unpack_limit(%s,%s,%s)' % (data, arg(), arg()), 'cmsgpack.unpack_one(%s)' % data,
                        'cmsgpack.unpack_limit(%s)' % data])
    for bad in ('', '{}', 'nil', '1', 'true'):
        yield 'cmsgpack.unpack(%s)' % bad
        yield 'cmsgpack.unpack_one(%s)' % bad
        yield 'cmsgpack.unpack_limit(%s)' % bad
    for n in (3998, 3999, 4000, 5000, 100000):
        yield "pcall(cmsgpack.unpack,string.rep('\\145',%d)..'\\1') and 1" % n
        yield "select(2,pcall(cmsgpack.unpack,string.rep('\\129\\1',%d)))" % n
    for n in (7990, 8100, 20000):
        yield "#{cmsgpack.unpack(string.rep('\\1',%d))}" % n


def struct_format(g):
    r = g.r
    out = ''
    for _ in range(r.choice([1, 1, 2, 3, 5])):
        out += r.choice(['b', 'B', 'h', 'H', 'l', 'L', 'T', 'i', 'I', 'f', 'd', 's', 'x', ' ', '<', '>', '!', 'i%d' % r.randrange(0, 10),
                         'I%d' % r.randrange(1, 9), '!%d' % (1 << r.randrange(6)), 'c%d' % r.randrange(5), 'c0', 'bc0', 'c', 'i16', 'I32'])
    if r.randrange(12) == 0:
        out += r.choice(['z', '=', 'q', '!3', '!33', 'i33', 'i99999999999', 'c2147483647', 'c2147483648', '\x00', '%', 'I0', '!0'])
    return out


def struct_cases():
    g = Gen(3)
    r = g.r
    for _ in range(1000):
        fmt = struct_format(g)
        args = []
        for c in fmt:
            if c in 'bBhHlLTiIfd':
                args.append(g.number())
            elif c in 'sc':
                args.append(lua_string(g.bytes(10)))
        if r.randrange(6) == 0 and args:
            args[r.randrange(len(args))] = r.choice(['nil', '{}', "'12'", "'x'", 'true', '1/0', '0/0', '1e300'])
        if r.randrange(12) == 0 and args:
            args.pop()
        yield 'struct.pack(%s)' % ','.join([lua_string(fmt.encode())] + args)
    for _ in range(1000):
        fmt = struct_format(g)
        data = bytes(r.randrange(256) if r.randrange(3) else r.choice([0, 1, 2]) for _ in range(r.randrange(40)))
        pos = r.choice([''] * 6 + [',1', ',2', ',5', ',0', ',-1', ',40', ",'x'", ',2147483647', ',1e15', ',1e300'])
        yield 'struct.unpack(%s,%s%s)' % (lua_string(fmt.encode()), lua_string(data), pos)
    for _ in range(500):
        yield 'struct.size(%s)' % lua_string(struct_format(g).encode())
    for name in ('pack', 'unpack', 'size'):
        for bad in ('', '{}', 'nil', '1', "'b'", "'s',1", "'b',{}", "'c3','ab'", "'c2147483647c2147483647',''", "'c2147483647b',''"):
            yield 'struct.%s(%s)' % (name, bad)
    for n in (7900, 8100):
        yield "#{struct.unpack(string.rep('b',%d),string.rep('a',%d))}" % (n, n)


def bit_cases():
    g = Gen(4)
    r = g.r

    def number():
        k = r.randrange(8)
        if k < 3:
            return str(r.randrange(-2 ** 31, 2 ** 32))
        if k == 3:
            return r.choice(["'12'", "'0x1f'", "'x'", 'nil', '{}', 'true', '0/0', '1/0', '-1/0', '1e300'])
        return g.number()
    for _ in range(900):
        name = r.choice(['tobit', 'bnot', 'bswap', 'tohex', 'band', 'bor', 'bxor', 'lshift', 'rshift', 'arshift', 'rol', 'ror'])
        if name in ('tobit', 'bnot', 'bswap'):
            n = 1
        elif name == 'tohex':
            n = r.choice([1, 2])
        elif name in ('band', 'bor', 'bxor'):
            n = r.randrange(1, 5)
        else:
            n = 2
        args = [number() for _ in range(n)]
        if n == 2 and r.randrange(3):
            args[1] = str(r.randrange(-40, 70))
        if r.randrange(20) == 0:
            args.pop()
        yield 'bit.%s(%s)' % (name, ','.join(args))


def main():
    server = Server(int(sys.argv[1]))
    for name, cases in (('cjson', cjson_cases), ('cmsgpack', cmsgpack_cases), ('struct', struct_cases), ('bit', bit_cases)):
        server.sock.close()
        server = Server(int(sys.argv[1]))
        with open(os.path.join(HERE, name + '.txt'), 'w') as out:
            for case in cases():
                answer = server.eval(PRELUDE + '\nreturn show(function() return pack_results(' + case + ') end)')
                out.write(case + '\t' + escape(answer) + '\n')


if __name__ == '__main__':
    main()
