#!/usr/bin/env python3
"""Do the tests of the reasoning find what is wrong? One fault after the other is put into a copy of
the sources; the tests of lib/reason have to fail for each.

    seed_faults.py WORKDIR      builds in WORKDIR, prints a line each; status 1: a fault was not found
"""
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

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


def run(command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          **options)


def must(command):
    done = run(command)
    if done.returncode != 0:
        sys.exit(" ".join(command) + "\n" + done.stdout)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    work = pathlib.Path(sys.argv[1])
    source = work / "src"
    if source.exists():
        shutil.rmtree(source)
    source.mkdir(parents=True)
    for name in ("CMakeLists.txt", "lib", "rules", "testdata"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    # What was compiled elsewhere is found again only without precompiled headers.
    options = (["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache", "-DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON"]
               if shutil.which("ccache") else [])
    must(["cmake", "-S", str(source), "-B", str(work), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug",
          *options])
    build = ["ninja", "-C", str(work), "meshproof_reason_test"]
    test = [str(work / "meshproof_reason_test"), "--no-colors=true"]
    environment = dict(os.environ, MESHPROOF_REASON_SETS="150", MESHPROOF_REASON_PAIRS="60",
                       MESHPROOF_REASON_LAWS="30")
    environment.setdefault("MESHPROOF_SHARED", str(ROOT.parent / "shared"))
    must(build)
    sound = run(test, env=environment)
    if sound.returncode != 0:
        sys.exit("the tests fail without a fault:\n" + sound.stdout[-3000:])
    missed = 0
    for what, name, there, instead in FAULTS:
        path = source / "lib/reason" / name
        text = path.read_text()
        if text.count(there) != 1:
            sys.exit(f"{name}: `{there}` stands there {text.count(there)} times; mend FAULTS")
        path.write_text(text.replace(there, instead))
        must(build)
        try:
            found = run(test, env=environment, timeout=900).returncode != 0
        except subprocess.TimeoutExpired:
            found = True
        path.write_text(text)
        missed += 0 if found else 1
        print(f"{'found ' if found else 'MISSED'}  {what} ({name})", flush=True)
    print(f"{len(FAULTS) - missed} of {len(FAULTS)} faults found")
    sys.exit(1 if missed else 0)


main()
