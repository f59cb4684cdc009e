"""tcl-compat/run: the official Redis Tcl suite against our binary, file by file."""

import argparse
import datetime
import fnmatch
import os
import queue
import shutil
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import job  # noqa: E402
import results  # noqa: E402
import suite  # noqa: E402

HERE = Path(__file__).resolve().parent.parent
PROJECT = HERE.parent
FIRST_PORT = 22000
# Enough for the widest file (the cluster ones start a dozen servers and try ports one by one) and far below the ephemeral range.
PORTS_PER_JOB = 800


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(prog="tcl-compat/run", description=__doc__)
    parser.add_argument("patterns", nargs="*", help="files to run, globs allowed: unit/type/* integration/rdb (default: all)")
    parser.add_argument("--bin", help="the server binary (default: REDSTART_BIN, else target/release, else target/quick)")
    parser.add_argument("--ci", "--fast", action="store_true", dest="ci", help="only the files named in tcl-compat/ci-files")
    parser.add_argument("--jobs", type=int, default=2, help="files at a time (default 2)")
    parser.add_argument("--list", action="store_true", help="list the files and stop")
    parser.add_argument("--stall", type=int, default=180, metavar="S", help="seconds without progress until a test counts as hung (180)")
    parser.add_argument("--limit", type=int, default=900, metavar="S", help="seconds a file may take (900)")
    parser.add_argument("--retry", type=int, default=1, metavar="N", help="run files with unexpected failures again, alone, up to N times (1)")
    parser.add_argument("--baseport", type=int, default=FIRST_PORT, help=f"first port used ({FIRST_PORT})")
    parser.add_argument("--nice", type=int, default=0, help="niceness of everything started")
    parser.add_argument("--version", dest="suite_version", default=suite.DEFAULT_VERSION, help=f"suite to obtain ({suite.DEFAULT_VERSION})")
    parser.add_argument("--only", action="append", default=[], metavar="TEST", help="only this test (the official runner's --only)")
    parser.add_argument("--tags", help="passed on: run or (with -) skip tests by tag")
    parser.add_argument("--tls", action="store_true", help="everything by TLS; expected/VERSION-tls.txt holds what may fail")
    parser.add_argument("--large-memory", action="store_true", help="also the tests that need many GB")
    parser.add_argument("--accurate", action="store_true", help="longer fuzz loops")
    parser.add_argument("--keep", action="store_true", help="keep the staged folders")
    parser.add_argument("--save-expected", metavar="REASON", help="rewrite the expected list of the files run; new lines get this reason")
    parser.add_argument("--update-readme", action="store_true", help="put the rows of the files run into the table of README.md")
    parser.add_argument("--baseline", action="store_true", help="the binary is the real server: record what it does, judge nothing")
    return parser.parse_args()


def binary(given):
    """The server under test."""
    named = given or os.environ.get("REDSTART_BIN")
    target = Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target"))
    candidates = [Path(named)] if named else [target / "release" / "redis-server", target / "quick" / "redis-server"]
    for path in candidates:
        if path.is_file() and os.access(path, os.X_OK):
            return path.absolute()
    raise suite.SuiteError(f"no server binary at {', '.join(map(str, candidates))}; build it with `make`")


def chosen(available, options):
    """The files to run, in the suite's order."""
    patterns = list(options.patterns)
    if options.ci:
        lines = (HERE / "ci-files").read_text().splitlines()
        patterns += [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]
    if not patterns:
        return available
    unknown = [p for p in patterns if not any(fnmatch.fnmatchcase(name, p) for name in available)]
    if unknown:
        print(f"tcl-compat: not in this suite: {', '.join(unknown)}", flush=True)
    return [name for name in available if any(fnmatch.fnmatchcase(name, p) for p in patterns)]


class Run:
    """All files of one invocation: the workers, and what they found."""

    def __init__(self, options, settings, expected, baseline):
        self.options, self.settings, self.expected, self.baseline = options, settings, expected, baseline
        self.root = job.new_root()
        self.folder = HERE / "results"
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.numbers = iter(range(1, 1_000_000))
        self.found = {}

    def all(self, names):
        """Runs the files, `jobs` at a time; then once more, alone, those with unexpected failures."""
        self.batch(names, self.options.jobs)
        for _ in range(self.options.retry):
            again = [name for name in names if name in self.found and self.wants_retry(name)]
            if not again or self.stop.is_set():
                break
            print(f"-- again, alone: {', '.join(again)}", flush=True)
            self.batch(again, 1)

    def wants_retry(self, name):
        """Whether the file failed in a way nobody expects."""
        result, verdict = self.found[name]
        return bool(result.bad()) if self.options.baseline else bool(verdict.unexpected)

    def batch(self, names, jobs):
        """Runs the files with so many workers."""
        waiting = queue.Queue()
        for name in names:
            waiting.put(name)
        workers = [threading.Thread(target=self.work, args=(waiting, slot), daemon=True) for slot in range(max(1, jobs))]
        for worker in workers:
            worker.start()
        for worker in workers:
            while worker.is_alive():
                worker.join(0.2)

    def work(self, waiting, slot):
        """One worker: its own port range, one file after the other."""
        ports = (self.options.baseport + 32 + slot * PORTS_PER_JOB, PORTS_PER_JOB - 64)
        while not self.stop.is_set():
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                self.one(name, ports)
            except Exception as error:  # a broken job must not end the others, but it must be seen
                broken = results.FileResult(name)
                broken.fail(f"{results.OUTSIDE} tcl-compat", repr(error))
                self.take(name, broken)

    def one(self, name, ports):
        """Runs one file and keeps its logs."""
        with self.lock:
            number = next(self.numbers)
        known = [test for test, why in self.expected.get(name, {}).items() if why.startswith("hangs:")]
        text, hung, ended, seconds, where = job.run_file(self.settings, self.root, number, name, ports, self.stop, known)
        result = results.parse(name, text, hung, ended, seconds)
        results.keep_logs(result, text, where, self.folder / name.replace("/", "."), 1 << 20)
        if not self.options.keep:
            shutil.rmtree(where, ignore_errors=True)
        if ended != "interrupted":
            self.take(name, result)

    def take(self, name, result):
        """Judges a result, merges it with an earlier try of the file and prints its line."""
        with self.lock:
            if name in self.found:
                first, _ = self.found[name]
                if len(first.bad()) < len(result.bad()):
                    result = first
                else:
                    result.flaky = {n for n in first.bad() if n not in result.bad() and not n.startswith(results.OUTSIDE)}
            verdict = results.judge(result, self.expected.get(name, {}), self.baseline.get(name, {}))
            self.found[name] = (result, verdict)
            print(results.table_line(name, verdict, result), flush=True)
            if self.options.baseline:
                return
            for test in verdict.unexpected:
                print(f"       failed: {test}", flush=True)
            for test in verdict.stale:
                print(f"       listed as failing, but passes (take it off the list): {test}", flush=True)

    def close(self):
        """Leaves nothing behind."""
        job.sweep(self.root)
        if not self.options.keep:
            shutil.rmtree(self.root, ignore_errors=True)


def summary(run, names, order, options, version):
    """Result folder, README, expected list, the closing line; the exit status."""
    rows = [(name, run.found[name][1]) for name in names if name in run.found]
    partial = bool(options.only or options.tags)
    run.folder.mkdir(parents=True, exist_ok=True)
    table = results.markdown(rows, version, datetime.date.today().isoformat())
    (run.folder / "table.md").write_text(table)
    failing = [f"{name} :: {test}\n" for name, _ in rows for test in sorted(run.found[name][0].bad())]
    (run.folder / "failed.txt").write_text("".join(failing))
    if options.baseline and not partial:
        path = HERE / "baseline" / f"{version}.txt"
        results.write_baseline(path, [run.found[name][0] for name, _ in rows], results.read_baseline(path))
    if options.save_expected and not partial:
        save_expected(run, rows, options.save_expected, version)
    if options.update_readme and not partial and not update_readme(rows, order, version):
        print("tcl-compat: README.md has no <!-- tcl-compat:begin --> / <!-- tcl-compat:end --> markers", flush=True)
    unexpected = sum(len(verdict.unexpected) for _, verdict in rows)
    stale = 0 if partial else sum(len(verdict.stale) for _, verdict in rows)
    if not options.baseline:
        print(f"{unexpected} failing tests that are not in expected/{version}.txt, {stale} listed ones that pass; logs in {run.folder}")
    absent = [name for name in names if name not in run.found]
    if absent:
        print(f"not run: {', '.join(absent)}")
    print(f"passed {sum(v.passed for _, v in rows)}, failed {sum(v.failed for _, v in rows)}, skipped {sum(v.skipped for _, v in rows)}", flush=True)
    if options.baseline or options.save_expected:
        return 1 if absent else 0
    return 1 if unexpected or stale or absent else 0


def update_readme(rows, order, version):
    """Writes the rows into README's table; what was not run now keeps its row."""
    readme = PROJECT / "README.md"
    merged = results.merged_rows(results.table_rows(readme), rows, order)
    return results.replace_table(readme, results.markdown(merged, version, datetime.date.today().isoformat()))


def save_expected(run, rows, reason, version):
    """Rewrites the list for the files run: what passes goes, what fails keeps its reason or gets the given one."""
    path = HERE / "expected" / f"{version}.txt"
    expected = results.read_expected(path)
    for name, verdict in rows:
        old = expected.pop(name, {})
        excused = set(verdict.excused)
        now = {test: old.get(test, old.get("*", reason)) for test in run.found[name][0].bad() - excused}
        now |= {test: why for test, why in old.items() if why.startswith("flaky:")}
        if now:
            expected[name] = now
    results.write_expected(path, expected, version)


def main():
    """Everything in order; always cleans up."""
    options = arguments()
    try:
        interpreter = suite.tclsh(options.tls)
        tree = suite.find(HERE / "work", options.suite_version)
        version = suite.version_of(tree)
        order = suite.files(tree, interpreter)
        names = chosen(order, options)
        if options.list:
            print("\n".join(names))
            return 0
        extra = [item for test in options.only for item in ("--only", test)]
        extra += ["--tags", options.tags] if options.tags else []
        extra += ["--large-memory"] if options.large_memory else []
        extra += ["--accurate"] if options.accurate else []
        extra += ["--tls"] if options.tls else []
        settings = job.Settings(tree, binary(options.bin), interpreter, options.stall, options.limit, extra, options.nice)
        if options.tls:
            settings.certificates = suite.certificates(tree, HERE / "work" / "tls")
            version += "-tls"
        expected = {} if options.baseline else results.read_expected(HERE / "expected" / f"{version}.txt")
        baseline = {} if options.baseline or extra else results.read_baseline(HERE / "baseline" / f"{version}.txt")
    except (suite.SuiteError, ValueError) as error:
        print(f"tcl-compat: {error}", file=sys.stderr)
        return 2
    print(f"tcl-compat: suite {version} from {tree}, server {settings.binary}, {len(names)} files, {options.jobs} at a time", flush=True)
    run = Run(options, settings, expected, baseline)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: run.stop.set())
    try:
        run.all(names)
    finally:
        run.close()
    status = summary(run, names, order, options, version)
    return 130 if run.stop.is_set() else status


if __name__ == "__main__":
    sys.exit(main())
