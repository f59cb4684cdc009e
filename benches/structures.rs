//! Criterion benches of the structures by themselves: `cargo bench`. What a server does with them is measured by
//! `make bench`; here one sees which structure a change made faster or slower.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use redstart::ds::hash::hash;
use redstart::ds::listpack::Listpack;
use redstart::ds::quicklist::{End, Fill, Quicklist};
use redstart::ds::rng::Rng;
use redstart::ds::sorted::Members;
use redstart::ds::table::Table;
use redstart::keyspace::{Entry, NewStr};
use redstart::resp::out::OutBuf;
use redstart::resp::parse::{Limits, Parser};
use redstart::resp::reply::{Protocol, Reply};
use std::hint::black_box;

/// Small and in the cache, beyond the first-level cache, beyond all caches.
const SIZES: [usize; 3] = [1_000, 100_000, 2_000_000];

fn key(i: usize) -> Vec<u8> {
    format!("key:{i:012}").into_bytes()
}

fn entry(i: usize) -> Entry {
    Entry::string(&key(i), &NewStr::Copy(b"0123456789abcdef"), None)
}

fn table_of(n: usize) -> Table<Entry> {
    let mut table = Table::default();
    for i in 0..n {
        table.insert_new(hash(&key(i)), entry(i));
    }
    table
}

/// An endless walk over random numbers below `n`, the same in every run.
fn walk(n: usize) -> impl FnMut() -> usize {
    let mut rng = Rng::new(7);
    move || rng.below(n)
}

fn table(c: &mut Criterion) {
    let mut group = c.benchmark_group("table");
    group.throughput(Throughput::Elements(1));
    for n in SIZES {
        let mut table = table_of(n);
        let keys: Vec<Vec<u8>> = (0..n).map(key).collect();
        let mut next = walk(n);
        group.bench_function(BenchmarkId::new("find", n), |b| {
            b.iter(|| {
                let k = &keys[next()];
                black_box(table.find(hash(k), k).is_some())
            });
        });
        group.bench_function(BenchmarkId::new("replace", n), |b| {
            b.iter(|| {
                let i = next();
                black_box(table.insert(hash(&keys[i]), entry(i)).is_some())
            });
        });
        group.bench_function(BenchmarkId::new("remove and insert", n), |b| {
            b.iter(|| {
                let k = &keys[next()];
                let h = hash(k);
                let taken = table.remove(h, k).expect("every key is there");
                table.insert_new(h, taken);
            });
        });
    }
    group.bench_function("grow to 100000", |b| {
        b.iter_batched(
            || {
                (0..100_000)
                    .map(|i| (hash(&key(i)), entry(i)))
                    .collect::<Vec<_>>()
            },
            |items| {
                let mut table = Table::default();
                for (h, e) in items {
                    table.insert_new(h, e);
                }
                table
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn listpack(c: &mut Criterion) {
    let mut group = c.benchmark_group("listpack");
    let mut pack = Listpack::new();
    for i in 0..128 {
        pack.push_back(format!("field{i}").as_bytes());
        pack.push_int(i * 1000);
    }
    group.bench_function("find the last of 128 fields", |b| {
        b.iter(|| black_box(pack.find(black_box(b"field127"), 1)));
    });
    group.bench_function("read 256 entries", |b| {
        b.iter(|| black_box(pack.iter().count()));
    });
    group.bench_function("append 128", |b| {
        b.iter(|| {
            let mut p = Listpack::new();
            for i in 0..128 {
                p.push_int(black_box(i));
            }
            p
        });
    });
    group.finish();
}

fn quicklist(c: &mut Criterion) {
    let mut group = c.benchmark_group("quicklist");
    let mut list = Quicklist::new(Fill::new(-2), 0);
    for i in 0..1_000_000 {
        list.push(End::Tail, format!("element:{i:010}").as_bytes());
    }
    group.bench_function("push and drop", |b| {
        b.iter(|| {
            list.push(End::Head, black_box(b"element:0000000000"));
            list.drop_end(End::Tail)
        });
    });
    let mut next = walk(1_000_000);
    group.bench_function("index into a million", |b| {
        b.iter(|| list.with(next(), |e| black_box(e.to_vec().len())));
    });
    group.bench_function("range of 100", |b| {
        b.iter(|| {
            let mut n = 0;
            list.for_each(next().min(999_900), 100, |_| n += 1);
            black_box(n)
        });
    });
    group.finish();
}

fn sorted(c: &mut Criterion) {
    let mut group = c.benchmark_group("sorted index");
    for n in SIZES {
        let mut set = Members::new();
        let names: Vec<Vec<u8>> = (0..n).map(key).collect();
        for (i, name) in names.iter().enumerate() {
            set.insert_new(name, (i * 7919 % n) as f64);
        }
        let mut next = walk(n);
        group.bench_function(BenchmarkId::new("change a score", n), |b| {
            b.iter(|| {
                let i = next();
                set.set(&names[i], (next() + i) as f64)
            });
        });
        group.bench_function(BenchmarkId::new("rank", n), |b| {
            b.iter(|| black_box(set.rank(&names[next()])));
        });
        group.bench_function(BenchmarkId::new("100 by rank", n), |b| {
            b.iter(|| black_box(set.up(next().min(n - 100), 100).count()));
        });
    }
    group.finish();
}

fn requests(c: &mut Criterion) {
    let mut group = c.benchmark_group("parser");
    let one = b"*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000012\r\n$16\r\n0123456789abcdef\r\n";
    let wire = one.repeat(32);
    let limits = Limits {
        max_bulk: 512 << 20,
        authenticated: true,
        whole: false,
    };
    group.throughput(Throughput::Elements(32));
    group.bench_function("pipeline of 32 SETs", |b| {
        let (mut ranges, mut big) = (Vec::new(), Vec::new());
        let mut parser = Parser::new();
        b.iter(|| {
            ranges.clear();
            let mut at = 0;
            while at < wire.len() {
                match parser.parse(&wire[at..], &mut ranges, &mut big, &limits) {
                    Ok(redstart::resp::parse::Step::Complete(n)) => at += n,
                    other => panic!("the requests are whole: {other:?}"),
                }
            }
            black_box(ranges.len())
        });
    });
    group.finish();
}

fn replies(c: &mut Criterion) {
    let mut group = c.benchmark_group("reply writer");
    group.throughput(Throughput::Elements(32));
    let mut out = OutBuf::new();
    group.bench_function("32 bulks of 32 bytes", |b| {
        b.iter(|| {
            for _ in 0..32 {
                Reply::new(&mut out, Protocol::Resp2).bulk(black_box(&[b'x'; 32]));
            }
            black_box(out.pending());
            out.clear();
        });
    });
    group.bench_function("32 integers", |b| {
        b.iter(|| {
            for i in 0..32 {
                Reply::new(&mut out, Protocol::Resp2).int(black_box(i * 12345));
            }
            out.clear();
        });
    });
    group.bench_function("32 doubles", |b| {
        b.iter(|| {
            for i in 0..32 {
                Reply::new(&mut out, Protocol::Resp2).double(black_box(f64::from(i) / 7.0));
            }
            out.clear();
        });
    });
    group.finish();
}

criterion_group!(
    benches, table, listpack, quicklist, sorted, requests, replies
);
criterion_main!(benches);
