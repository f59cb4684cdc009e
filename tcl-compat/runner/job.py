"""One test file: a throw-away copy of the tree, the official runner inside it, and nothing left behind.

The stage sits at a short path because the tests put unix sockets into it (108 bytes is all a socket path may have). Every process the
file starts is found again by its working directory or by a marker in its environment, so nothing survives the job, however it ends.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import suite

MARKER = "REDSTART_TCL_STAGE"
OURS = ("redis-server", "redis-check-rdb", "redis-check-aof", "redis-sentinel")
TOOLS = ("redis-cli", "redis-benchmark")
# Valkey's suite asks for the same programs under its own names.
RENAMED = {name: name.replace("redis", "valkey") for name in OURS + TOOLS}
UNUSED = ("tmp", "modules")
ROOT_PREFIX = "rtcl-"
HANG_RERUNS = 3


@dataclass
class Settings:
    """What is the same for all files of a run."""

    tree: Path
    binary: Path
    interpreter: str
    stall_s: int
    limit_s: int
    extra: list = field(default_factory=list)
    nice: int = 0
    certificates: Path | None = None


def new_root():
    """The run's own folder for stages; stages of runs that died are swept first."""
    base = Path(tempfile.gettempdir())
    for old in base.glob(f"{ROOT_PREFIX}*"):
        owner = re.match(rf"{ROOT_PREFIX}(\d+)-", old.name)
        if owner and not Path(f"/proc/{owner[1]}").exists():
            sweep(old)
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{ROOT_PREFIX}{os.getpid()}-", dir=base))


def stage(settings, root, number):
    """A copy of tests/ with src/ made of our binary and the client tools."""
    where = root / str(number)
    where.mkdir()
    shutil.copytree(settings.tree / "tests", where / "tests", ignore=shutil.ignore_patterns(*UNUSED), symlinks=True)
    (where / "tests" / "tmp").mkdir(exist_ok=True)
    modules = settings.tree / "tests" / "modules"
    if modules.is_dir():
        shutil.copytree(modules, where / "tests" / "modules", symlinks=True)
    if settings.certificates:
        shutil.copytree(settings.certificates, where / "tests" / "tls", dirs_exist_ok=True)
    utils = settings.tree / "utils"
    if utils.is_dir():
        (where / "utils").symlink_to(utils)
    for name in ("redis.conf", "sentinel.conf", "valkey.conf", "runtest"):
        if (settings.tree / name).exists():
            shutil.copy(settings.tree / name, where / name)
    source = where / "src"
    source.mkdir()
    targets = {name: str(settings.binary) for name in OURS} | {name: shutil.which(name) or f"/usr/bin/{name}" for name in TOOLS}
    for name, target in targets.items():
        (source / name).symlink_to(target)
        (source / RENAMED[name]).symlink_to(target)
    if is_redstart(settings.binary):
        as_release(source / "redis-server", settings.binary, suite.version_of(settings.tree))
    return where


def is_redstart(binary):
    """Whether the server under test is ours: only ours knows the directive redis-compat-version."""
    told = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=False).stdout
    return "redstart=" in told


def as_release(path, binary, version):
    """Makes `path` start the binary as the release that the suite belongs to: an older suite expects the older names of
    encodings, which is what a user of that release sets redis-compat-version for. The directive stands before the other
    options, behind the configuration file: a test may end its command line with an option that lacks its value. Words
    without `--` right behind the file belong to it, then it stands at the end."""
    path.unlink()
    start = f'exec -a "$0" {shlex.quote(str(binary))}'
    path.write_text(f"""#!/bin/bash
case "${{1-}}" in
-v | --version | -h | --help | --test-memory | --check-system) {start} "$@" ;;
"" | -?*) {start} --redis-compat-version {version} "$@" ;;
*) case "${{2---}}" in
  --*) file=$1; shift; {start} "$file" --redis-compat-version {version} "$@" ;;
  *) {start} "$@" --redis-compat-version {version} ;;
  esac ;;
esac
"""
    )
    path.chmod(0o755)


def processes_in(where):
    """Pids of the processes that work in `where` or were started with its marker."""
    found = []
    prefix, marker = str(where), f"{MARKER}={where}".encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            cwd = os.readlink(f"/proc/{entry}/cwd").removesuffix(" (deleted)")
            inside = cwd == prefix or cwd.startswith(prefix + "/")
            if not inside:
                environ = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
                inside = any(item == marker or item.startswith(marker + b"/") for item in environ)
        except OSError:
            continue
        if inside:
            found.append(int(entry))
    return found


def sweep(where):
    """Kills whatever still belongs to the stage; again until nothing is left, as a dying script may spawn one more server."""
    for _ in range(50):
        pids = processes_in(where)
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.05)


def run_file(settings, root, number, name, ports, stop, known=()):
    """Runs one file. Returns (runner output, hung test names, why it ended early or None, seconds, stage).

    A test that hangs is found in the official runner's own state report; the file is then run again without it, so that the rest of the
    file is judged too; the `known` ones are left out at once. The caller removes the stage when it has taken the logs.
    """
    hung, started, where = list(known), time.monotonic(), None
    while True:
        if where:
            shutil.rmtree(where, ignore_errors=True)
        where = stage(settings, root, number)
        text, ended = attempt(settings, where, name, ports, hung, started, stop)
        culprit = hanging_test(text) if ended in ("stalled", "time limit") else None
        if culprit is None or culprit in hung or len(hung) == len(known) + HANG_RERUNS or stop.is_set():
            return text, hung, ended, time.monotonic() - started, where
        hung.append(culprit)


def attempt(settings, where, name, ports, skipped, started, stop):
    """One go of the official runner over the file; how it ended is None when it came to its own end."""
    base, count = ports
    command = [settings.interpreter, "tests/test_helper.tcl", "--single", name, "--clients", "1", "--durable", "--dont-clean"]
    command += ["--baseport", str(base), "--portcount", str(count), "--timeout", str(settings.stall_s), *settings.extra]
    for test in skipped:
        command += ["--skiptest", test]
    env = dict(os.environ, TERM="dumb", LC_ALL="C.UTF-8", LANG="C.UTF-8")
    env[MARKER] = str(where)
    log = where / "runner.log"
    ended = None
    with open(log, "wb") as out:
        child = subprocess.Popen(
            command, cwd=where, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=(lambda: os.nice(settings.nice)) if settings.nice else None,
        )
        while child.poll() is None:
            if stop.is_set():
                ended = "interrupted"
            elif time.monotonic() - started > settings.limit_s:
                ended = "time limit"
            if ended:
                break
            time.sleep(0.1)
    sweep(where)
    child.wait()
    text = log.read_bytes().decode("utf-8", "replace")
    if ended is None and "[TIMEOUT]" in text:
        ended = "stalled"
    return text, ended


def hanging_test(text):
    """The test that was running when the official runner gave up, if one was."""
    state = re.search(r"=> \(IN PROGRESS\) (.*)", text)
    return state[1].strip() if state else None
