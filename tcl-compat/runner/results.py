"""What came out: reading the official runner's output, judging it against the expected list, and writing it down.

A test is known by `file :: name`. The same name may occur several times in a file (loops over configurations); occurrences are counted,
and a name has failed if any occurrence failed.
"""

import re
import shutil
from collections import Counter, OrderedDict
from dataclasses import dataclass, field

STATUS = re.compile(r"^\[(ok|err|exception|skip|ignore|TIMEOUT|ready|testing|\d+/\d+ done)\]: ?(.*)$")
IGNORE_REASON = re.compile(r"^(?:(.*): )?(Tag: .*|Not supported .*|large memory flag not provided)$")
OUTSIDE = "(outside a test)"
# Parts of test names that change from run to run.
VARIABLE = (
    (re.compile(r"\bpid:? \d+", re.I), "pid N"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
    (re.compile(r"\bport \d{4,5}\b"), "port PORT"),
    (re.compile(r"\b\d{10,13}\b"), "TIME"),
    (re.compile(r"\bsock[0-9a-f]{8,}\b"), "SOCK"),
    (re.compile(r"(server|redis\.conf)\.\d+\.\d+"), r"\1.N"),
    (re.compile(r"\(x = \d+\)"), "(x = N)"),
    (re.compile(r"^(PSYNC2: .*)"), lambda found: re.sub(r"#\d+|(?<=CYCLE )\d+", "N", found[1])),
)
# Files that go on in rounds until their time is over: a name of theirs has to come, however often it came on the real server.
BY_TIME = ("integration/psync2",)


def normal(name):
    """A test's name without what changes from run to run, on one line."""
    name = " ".join(name.split())
    for pattern, replacement in VARIABLE:
        name = pattern.sub(replacement, name)
    return name.replace(" :: ", " : ")


@dataclass
class FileResult:
    """The outcome of one file: how often each name passed, failed, was skipped, and the details of failures."""

    name: str
    passed: Counter = field(default_factory=Counter)
    failed: Counter = field(default_factory=Counter)
    skipped: Counter = field(default_factory=Counter)
    details: OrderedDict = field(default_factory=OrderedDict)
    not_run: Counter = field(default_factory=Counter)
    seconds: float = 0.0
    ended: str = ""
    flaky: set = field(default_factory=set)

    def fail(self, name, detail):
        """Counts one failure."""
        self.failed[name] += 1
        self.details.setdefault(name, detail)

    def bad(self):
        """Names that failed or did not run."""
        return set(self.failed) | set(self.not_run)


def parse(name, text, hung, ended, seconds):
    """Reads the official runner's output of one file."""
    result = FileResult(name, seconds=seconds, ended=ended or "")
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        found = STATUS.match(lines[at])
        at += 1
        if not found:
            continue
        status, rest = found[1], found[2]
        if status == "ok":
            result.passed[normal(re.sub(r" \(\d+ ms\)$", "", rest))] += 1
        elif status in ("err", "exception"):
            body = [rest]
            while at < len(lines) and not STATUS.match(lines[at]) and "The End" not in lines[at]:
                body.append(lines[at])
                at += 1
            record_failure(result, status, body)
        elif status == "ignore":
            reason = IGNORE_REASON.match(rest)
            result.skipped[normal(reason[1] if reason and reason[1] else f"(block) {rest}")] += 1
    for test in hung:
        result.fail(normal(test), "the test hung; the file was run again without it")
    if ended and not (ended == "stalled" and hung):
        result.fail(f"{OUTSIDE} {ended}", "\n".join(lines[-40:]))
    return result


def record_failure(result, status, body):
    """One [err] or [exception] block; the test's name is in its first lines, before `in tests/...tcl`."""
    text = "\n".join(body)
    named = re.match(r"(.{1,400}?) in tests/[\w./-]+\.tcl$", text, re.S | re.M) if status == "err" else None
    if named and named[1].count("\n") <= 3:
        result.fail(normal(named[1]), text)
    else:
        result.fail(f"{OUTSIDE} {normal(body[0])[:120]}", f"[{status}] {text}")


# ---- the expected list and the baseline ------------------------------------------------------------------------------------------------


def read_expected(path):
    """{file: {test name or *: reason}} from lines `file :: test name :: reason`."""
    expected = {}
    if not path.exists():
        return expected
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split(" :: ")]
        if len(parts) != 3 or not all(parts):
            raise ValueError(f"{path}:{number}: not `file :: test name :: reason`: {line}")
        expected.setdefault(parts[0], {})[parts[1]] = parts[2]
    return expected


def write_expected(path, expected, version):
    """Writes the list sorted, so that a change of it reads well."""
    head = f"# Tests of the {version} suite that do not pass yet: file :: test name :: reason. See ../README.md; this list only shrinks.\n"
    lines = [f"{file} :: {name} :: {reason}\n" for file in sorted(expected) for name, reason in sorted(expected[file].items())]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + "".join(lines))


def read_baseline(path):
    """{file: {name: (pass, fail, skip)}} of the real server of the suite's version on this kind of machine."""
    baseline, file = {}, None
    for line in path.read_text().splitlines() if path.exists() else []:
        if line.startswith("== "):
            file = baseline.setdefault(line[3:], {})
        elif line and not line.startswith("#"):
            counts, tab, name = line.partition("\t")
            name = normal(name if tab else line)
            seen = tuple(int(n) for n in counts.split("/")) if tab else (1, 0, 0)
            file[name] = tuple(a + b for a, b in zip(seen, file.get(name, (0, 0, 0))))
    return baseline


def write_baseline(path, results, old):
    """Writes what the real server does: below each file its tests, with `pass/fail/skip<TAB>` before those that did not just pass once.
    Files not run keep their lines."""
    baseline = dict(old)
    for result in results:
        names = sorted(set(result.passed) | set(result.failed) | set(result.skipped))
        baseline[result.name] = {n: (result.passed[n], result.failed[n], result.skipped[n]) for n in names}
    lines = ["# What the real server of this version does with its own suite, written by tcl-compat/run --baseline.\n"]
    lines.append("# A name alone passed once; before others: passed/failed/skipped.\n")
    for file, tests in sorted(baseline.items()):
        lines.append(f"== {file}\n")
        for name, counts in sorted(tests.items()):
            lines.append(f"{name}\n" if counts == (1, 0, 0) else f"{'/'.join(map(str, counts))}\t{name}\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines))


@dataclass
class Verdict:
    """A file's judged numbers and the names that decide the exit status."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    excused: list = field(default_factory=list)
    unexpected: list = field(default_factory=list)
    stale: list = field(default_factory=list)


def judge(result, expected, baseline):
    """Compares one file with its expected list and with the real server's own result."""
    known = {name: counts for name, counts in baseline.items() if not name.startswith(OUTSIDE)}
    for name, (passes, fails, _) in known.items():
        wanted = min(passes, 1) if result.name in BY_TIME else passes
        missing = wanted - result.passed[name] - result.failed[name] - result.skipped[name]
        if missing > 0 and not fails:
            result.not_run[name] = missing
    verdict = Verdict()
    # A name that also fails on the real server is no claim on us.
    excused = {name for name in result.bad() if known.get(name, (0, 0, 0))[1] > 0}
    verdict.excused = sorted(excused)
    for name in result.bad() - excused:
        verdict.failed += result.failed[name] + result.not_run[name]
        if name not in expected and "*" not in expected:
            verdict.unexpected.append(name)
    verdict.unexpected.sort()
    verdict.passed = sum(result.passed.values())
    verdict.skipped = sum(result.skipped.values()) + sum(result.failed[name] for name in excused)
    bad = result.bad()
    for name, reason in expected.items():
        if reason.startswith("flaky:"):
            continue
        if (name == "*" and not bad) or (name != "*" and name not in bad):
            verdict.stale.append(name)
    return verdict


# ---- result folder and tables ----------------------------------------------------------------------------------------------------------


def keep_logs(result, text, where, folder, log_bytes):
    """Writes the file's output, its failures with the server log of each failing test, and the tails of all server logs."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "runner.log").write_text(text)
    if not result.failed:
        return
    logs = sorted((where / "tests" / "tmp").glob("server.*/std*"))
    with open(folder / "failures.txt", "w") as out:
        for name, detail in result.details.items():
            out.write(f"==== {name}\n{detail}\n")
            for log in logs:
                part = log_of_test(log, name)
                if part:
                    out.write(f"---- {log.parent.name}/{log.name}\n{part}\n")
            out.write("\n")
    for log in logs:
        data = log.read_bytes()
        if data:
            (folder / f"{log.parent.name}.{log.name}").write_bytes(data[-log_bytes:])


def log_of_test(path, name, limit=60):
    """The last lines a server logged during the test; the suite marks each test's start in every server's log."""
    text = path.read_bytes().decode("utf-8", "replace")
    parts = re.split(r"^### Starting (?:test|server for test) ", text, flags=re.M)
    for part in reversed(parts[1:]):
        head, _, body = part.partition("\n")
        if normal(re.sub(r" in tests/[\w./-]+\.tcl$", "", head)) == name:
            return "\n".join(body.splitlines()[-limit:])
    return ""


def table_line(name, verdict, result):
    """One line of the table on the terminal."""
    mark = "ok  " if not verdict.unexpected and not verdict.stale else "FAIL"
    total = verdict.passed + verdict.failed
    notes = []
    if verdict.skipped:
        notes.append(f"{verdict.skipped} skipped")
    if result.not_run:
        notes.append(f"{sum(result.not_run.values())} not run")
    if result.flaky:
        notes.append(f"{len(result.flaky)} passed on a second try")
    if result.ended:
        notes.append(result.ended)
    return f"{mark} {name:<44} {verdict.passed:>4}/{total:<4} {result.seconds:6.1f}s  {', '.join(notes)}".rstrip()


def markdown(rows, version, date):
    """The table for README.md."""
    lines = [f"Suite {version}, {date}:", "", "| file | passed | total | skipped |", "|---|--:|--:|--:|"]
    total = Verdict()
    for name, verdict in rows:
        lines.append(f"| {name} | {verdict.passed} | {verdict.passed + verdict.failed} | {verdict.skipped or ''} |")
        total.passed, total.failed, total.skipped = total.passed + verdict.passed, total.failed + verdict.failed, total.skipped + verdict.skipped
    lines.append(f"| **all** | **{total.passed}** | **{total.passed + total.failed}** | **{total.skipped}** |")
    return "\n".join(lines) + "\n"


BEGIN, END = "<!-- tcl-compat:begin -->", "<!-- tcl-compat:end -->"


def table_rows(readme):
    """The rows that README.md has between its markers: [(file, Verdict with the numbers)]."""
    text = readme.read_text() if readme.exists() else ""
    if BEGIN not in text or END not in text:
        return []
    rows = []
    for line in text.split(BEGIN, 1)[1].split(END, 1)[0].splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if len(cells) >= 3 and cells[1].isdigit():
            verdict = Verdict()
            verdict.passed, verdict.failed = int(cells[1]), int(cells[2]) - int(cells[1])
            verdict.skipped = int(cells[3] or 0) if len(cells) > 3 else 0
            rows.append((cells[0], verdict))
    return rows


def merged_rows(old, new, order):
    """Rows of an earlier table for the files not run now, in the suite's order; files the suite does not have go."""
    rows = dict(old) | dict(new)
    return [(name, rows[name]) for name in order if name in rows]


def replace_table(readme, table):
    """Puts the table between the markers of README.md; says whether the markers were there."""
    text = readme.read_text() if readme.exists() else ""
    if BEGIN not in text or END not in text:
        return False
    head, tail = text.split(BEGIN)[0], text.split(END, 1)[1]
    readme.write_text(f"{head}{BEGIN}\n{table}{END}{tail}")
    return True
