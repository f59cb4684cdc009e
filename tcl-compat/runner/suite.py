"""Where the official suite comes from, and what it needs on this machine.

The suite is never part of this repository. It is taken from REDIS_SUITE, or from a cached download under tcl-compat/work/, or fetched:
first Debian's source package (apt-get source with a private sources list, so the system's own lists stay untouched), then the release
tarball. Only tests/ of the tree is used.
"""

import os
import re
import shutil
import subprocess
import tarfile
import urllib.request
from pathlib import Path

DEFAULT_VERSION = "7.0.15"
TARBALL_URL = "https://download.redis.io/releases/redis-{}.tar.gz"


class SuiteError(Exception):
    """Something the user has to know or do before the suite can run."""


def version_of(tree):
    """The version that names the expected list: 7.0.15, or valkey-8.0.1 for a Valkey tree."""
    named = re.search(r"(redis|valkey)[-_](\d+\.\d+(?:\.\d+)?)", tree.resolve().name)
    if not named:
        notes = tree / "00-RELEASENOTES"
        text = notes.read_text(errors="replace") if notes.exists() else ""
        named = re.search(r"(Redis|Valkey)[^\n]*?(\d+\.\d+(?:\.\d+)?)", text)
    if not named:
        return "unknown"
    return named[2] if named[1].lower() == "redis" else f"valkey-{named[2]}"


def find(work, version):
    """The suite's tree: REDIS_SUITE, the cache, a tree unpacked at /opt/ref/src, or a fresh download."""
    given = os.environ.get("REDIS_SUITE")
    candidates = [Path(given)] if given else [work / f"redis-{version}", Path(f"/opt/ref/src/redis-{version}")]
    for tree in candidates:
        if (tree / "tests" / "test_helper.tcl").exists():
            return tree
    if given:
        raise SuiteError(f"REDIS_SUITE={given} has no tests/test_helper.tcl")
    work.mkdir(parents=True, exist_ok=True)
    for fetch in (from_debian, from_release):
        try:
            tree = fetch(work, version)
        except (OSError, subprocess.SubprocessError, tarfile.TarError, SuiteError) as error:
            print(f"tcl-compat: {fetch.__name__}: {error}", flush=True)
            continue
        if (tree / "tests" / "test_helper.tcl").exists():
            return tree
    raise SuiteError(f"cannot obtain the suite of redis {version}; unpack one and name it with REDIS_SUITE=/path/to/redis-{version}")


def from_debian(work, version):
    """apt-get source with private lists; only the original tarball is used, Debian's patches are not applied."""
    if not shutil.which("apt-get"):
        raise SuiteError("no apt-get here")
    apt = work / "apt"
    for folder in ("lists/partial", "cache/archives/partial", "source"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', Path("/etc/os-release").read_text(), re.M))
    codename = release.get("VERSION_CODENAME", "bookworm")
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    mirrors = (("http://deb.debian.org/debian", codename), ("http://deb.debian.org/debian-security", f"{codename}-security"))
    (apt / "sources.list").write_text("".join(f"deb-src [signed-by={keyring}] {uri} {suite} main\n" for uri, suite in mirrors))
    options = {
        "Dir::Etc::SourceList": apt / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": apt / "lists",
        "Dir::Cache": apt / "cache",
        "APT::Get::List-Cleanup": "0",
        "APT::Sandbox::User": "root",
    }
    flags = [item for key, value in options.items() for item in ("-o", f"{key}={value}")]
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "cwd": apt / "source", "timeout": 600}
    print(f"tcl-compat: fetching Debian's source package of redis ({codename})", flush=True)
    subprocess.run(["apt-get", *flags, "update"], **quiet)
    subprocess.run(["apt-get", *flags, "source", "--download-only", "redis"], **quiet)
    tarballs = sorted((apt / "source").glob(f"redis_{version}.orig.tar.*"))
    if not tarballs:
        raise SuiteError(f"Debian {codename} has another version: {[p.name for p in (apt / 'source').iterdir()]}")
    return unpack(tarballs[0], work, version)


def from_release(work, version):
    """The release tarball, where the distribution carries another version."""
    target = work / f"redis-{version}.tar.gz"
    print(f"tcl-compat: fetching {TARBALL_URL.format(version)}", flush=True)
    with urllib.request.urlopen(TARBALL_URL.format(version), timeout=60) as answer, open(target, "wb") as out:
        shutil.copyfileobj(answer, out)
    return unpack(target, work, version)


def unpack(tarball, work, version):
    """Unpacks into work/redis-VERSION whatever the tarball calls its top folder; in place only once it is whole."""
    scratch = work / f".unpack.{os.getpid()}"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    with tarfile.open(tarball) as archive:
        archive.extractall(scratch, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(scratch)
    tops = [p for p in scratch.iterdir() if p.is_dir()]
    if len(tops) != 1:
        raise SuiteError(f"{tarball.name} is not a source tarball")
    tree = work / f"redis-{version}"
    shutil.rmtree(tree, ignore_errors=True)
    tops[0].rename(tree)
    shutil.rmtree(scratch, ignore_errors=True)
    return tree


def has_tls(interpreter):
    """Whether Tcl can speak TLS."""
    asked = subprocess.run([interpreter], input="puts [catch {package require tls 1.6}]", capture_output=True, text=True)
    return asked.stdout.strip() == "0"


def certificates(tree, folder):
    """The suite's own test certificates, made by its own script in `folder`; the folder that holds them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(["bash", str(tree / "utils" / "gen-test-certs.sh")], cwd=folder, capture_output=True, text=True)
    if made.returncode or not (folder / "tests" / "tls" / "redis.crt").exists():
        raise SuiteError(f"cannot make certificates (is openssl there?): {made.stderr.strip()[-400:]}")
    return folder / "tests" / "tls"


def tclsh(tls=False):
    """The Tcl interpreter's path, installed (with its TLS) when missing and possible."""
    need = {"tclsh": "tcl", "redis-cli": "redis-tools", "redis-benchmark": "redis-tools", "ps": "procps"}
    missing = sorted({package for tool, package in need.items() if not shutil.which(tool)})
    found = shutil.which("tclsh8.6") or shutil.which("tclsh")
    if tls and not (found and has_tls(found)):
        missing.append("tcl-tls")
    if missing:
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise SuiteError(f"missing tools; install them: sudo {' '.join(command)}")
        env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        print(f"tcl-compat: installing {' '.join(missing)}", flush=True)
        subprocess.run(["apt-get", "update", "-qq"], env=env, check=False)
        if subprocess.run(command, env=env, stdout=subprocess.DEVNULL).returncode:
            raise SuiteError(f"could not install {' '.join(missing)}")
    return shutil.which("tclsh8.6") or shutil.which("tclsh")


def files(tree, interpreter):
    """The suite's own list of test files, in its order."""
    listing = subprocess.run([interpreter, "tests/test_helper.tcl", "--list-tests"], cwd=tree, capture_output=True, text=True, timeout=60)
    names = [line.strip() for line in listing.stdout.splitlines() if re.fullmatch(r"[\w./-]+", line.strip())]
    if not names:
        raise SuiteError(f"the suite lists no test files: {listing.stderr.strip()[:400]}")
    return names
