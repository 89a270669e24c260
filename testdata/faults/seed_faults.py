#!/usr/bin/env python3
"""Do the tests of the reasoning find what is wrong? One fault after the other is put into a copy of
one file of lib/reason; the tests have to fail for each.

    seed_faults.py BUILD [WORK]   BUILD: a build directory of Ninja's; `meshproof_reason_test` is
                                  brought up to date there, and no source is changed. WORK: where
                                  objects are put (BUILD/faults)

Prints a table; status 1: a fault was not found. Takes some minutes.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ROOT / "lib/reason"
LIBRARY = "libmeshproof_reason.a"
TEST = "meshproof_reason_test"

# What goes wrong, where, the text that stands there, the text that is put in its place.
FAULTS = [
    ("operands of if-then-else change places too often", "bdd.cc",
     "if (g == kTrue && h < f) std::swap(f, h);", "if (h < f) std::swap(f, h);"),
    ("no class begins behind an address block", "space.cc",
     "if (!wrapped) starts.push_back(behind);", "(void)behind;"),
    ("halves of a path that exclude each other are taken together", "space.cc",
     "node = bdd_->And(node, FeasiblePairs(fields_[id]));", "(void)FeasiblePairs(fields_[id]);"),
    ("the issuer of a claim is not that of the principal", "translate_conditions.cc",
     'Field field = !single ? Claim(names) : names[0] == "iss" ? Issuer() : Subject();',
     "Field field = Claim(names);"),
    ("the forwarded address is taken for the peer's", "translate_conditions.cc",
     "scope.http && !scope.remote_is_source ? Remote() : Source()", "Source()"),
    ("case counts where it must not", "model.cc",
     "pattern.ignore_case = matcher.ignore_case;", "pattern.ignore_case = false;"),
    ("paths that normalization takes away are thought to arrive", "string_classes.cc",
     "return decoded || value == 0 ? kDead : 0;", "return value == 0 && decoded ? kDead : 0;"),
    ("a change of DENY rules is no change", "compare.cc",
     "if (Session::Denies(rule)) denied.push_back(rest);", ""),
    ("an authorizer that may refuse is one that agrees", "session.cc",
     "return answers == Authorizers::kAgree ? bdd.Exists(node, authorizers_)",
     "return answers != Authorizers::kAgree ? bdd.Exists(node, authorizers_)"),
]

# Smaller runs of the random tests: a fault that only a long run finds is hardly found.
ENVIRONMENT = dict(os.environ, MESHPROOF_REASON_SETS="150", MESHPROOF_REASON_PAIRS="60",
                   MESHPROOF_REASON_LAWS="30")
ENVIRONMENT.setdefault("MESHPROOF_SHARED", str(ROOT.parent / "shared"))


def fail(text):
    sys.exit(f"seed_faults.py: {text}")


def run(command, cwd, **options):
    return subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False, **options)


class Builder:
    """Compiles files of the folder and links its tests with what BUILD has of all else."""

    def __init__(self, build, work):
        self.build, self.work = build, work
        work.mkdir(parents=True, exist_ok=True)
        self.compile_line = self.find_compile_line()
        self.link_line = self.find_link_line()

    def find_compile_line(self):
        commands = self.build / "compile_commands.json"
        if not commands.exists():
            fail(f"{self.build} holds no compile_commands.json")
        for entry in json.loads(commands.read_text()):
            words = shlex.split(entry["command"])
            output = words[words.index("-o") + 1]
            if output.startswith("CMakeFiles/meshproof_reason.dir/"):
                at = words.index("-o")
                # Without what is compiled to where, which stands at the end.
                return words[:at]
        fail("no file of lib/reason is compiled there")

    def find_link_line(self):
        done = run(["ninja", "-C", str(self.build), TEST], self.build)
        if done.returncode != 0:
            fail(f"{TEST} is not built:\n{done.stdout[-3000:]}")
        done = run(["ninja", "-C", str(self.build), "-t", "commands", TEST], self.build)
        line = done.stdout.strip().splitlines()[-1]
        words = [word for word in shlex.split(line) if word not in (":", "&&")]
        if LIBRARY not in words:
            fail(f"{TEST} is linked without {LIBRARY}")
        return words

    def compile(self, source, made):
        done = run([*self.compile_line, "-o", str(made), "-c", str(source)], self.build)
        if done.returncode != 0:
            fail(f"{source} is not compiled:\n{done.stdout[-3000:]}")
        return made

    def objects(self, names, pool):
        """Of the files as they are: what BUILD has, if it compiles them one by one."""
        library = self.build / LIBRARY
        made = {name: self.work / (name + ".o") for name in names}
        members = run(["ar", "t", str(library)], self.work).stdout.split()
        if all(path.name in members for path in made.values()):
            done = run(["ar", "x", str(library)], self.work)
            if done.returncode != 0:
                fail(f"{library} cannot be unpacked:\n{done.stdout}")
        else:
            list(pool.map(lambda name: self.compile(SOURCES / name, made[name]), names))
        return made

    def link(self, objects, program):
        words = list(self.link_line)
        words[words.index("-o") + 1] = str(program)
        at = words.index(LIBRARY)
        words[at:at + 1] = [str(made) for made in objects]
        done = run([word for word in words if word != LIBRARY], self.build)
        if done.returncode != 0:
            fail(f"{program} is not linked:\n{done.stdout[-3000:]}")
        return program


def judge(program, work):
    """The name of the test that fails; nothing: none does."""
    try:
        done = run([str(program), "--no-colors=true", "--abort-after=1"], work, env=ENVIRONMENT,
                   timeout=900)
    except subprocess.TimeoutExpired:
        return "(no test: they do not end)"
    if done.returncode == 0:
        return ""
    # Messages name their test as well.
    parts = re.split(r"^=+$", done.stdout, flags=re.MULTILINE)
    for part in parts:
        name = re.search(r"^TEST CASE:\s*(.*)$", part, flags=re.MULTILINE)
        if name and re.search(r"(ERROR|FATAL ERROR):", part):
            return name.group(1)
    return f"(no test: status {done.returncode})"


def try_fault(builder, objects, number):
    what, name, there, instead = FAULTS[number]
    own = builder.work / str(number)
    own.mkdir(exist_ok=True)
    text = (SOURCES / name).read_text()
    (own / name).write_text(text.replace(there, instead))
    made = builder.compile(own / name, own / (name + ".o"))
    linked = [made if source == name else known for source, known in objects.items()]
    program = builder.link(linked, own / TEST)
    found = judge(program, own)
    program.unlink()
    return what, name, found


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    build = pathlib.Path(sys.argv[1]).resolve()
    work = pathlib.Path(sys.argv[2]).resolve() if len(sys.argv) == 3 else build / "faults"
    for _, name, there, _ in FAULTS:
        count = (SOURCES / name).read_text().count(there)
        if count != 1:
            fail(f"{name}: `{there}` stands there {count} times; mend FAULTS")
    start = time.monotonic()
    builder = Builder(build, work)
    names = sorted(path.name for path in SOURCES.glob("*.cc")
                   if not re.search(r"_(test|fuzz|bench)\.cc$", path.name))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = builder.objects(names, pool)
        sound = judge(builder.link(objects.values(), work / TEST), work)
        if sound:
            fail(f"without a fault fails: {sound}")
        print("| fault | file | found by |\n| --- | --- | --- |", flush=True)
        missed = 0
        for what, name, found in pool.map(lambda i: try_fault(builder, objects, i),
                                          range(len(FAULTS))):
            missed += 0 if found else 1
            print(f"| {what} | {name} | {found or 'NOTHING'} |", flush=True)
    print(f"\n{len(FAULTS) - missed} of {len(FAULTS)} faults found in "
          f"{time.monotonic() - start:.0f} s")
    sys.exit(1 if missed else 0)


main()
