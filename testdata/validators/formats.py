"""formats.py BINARY FOLDER CHECK: validates a format of `analyze` over the bad cases of every rule,
over all cases at once, and over the example. Findings have to be there, or nothing was shown.
Microsoft's SARIF validator takes a third of a second a file: it gets all cases at once, the example,
and what shows a rule that is in neither."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
binary, folder, check = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]), sys.argv[3]


def analyze(paths, form, out):
    done = subprocess.run(
        [binary, "analyze", *paths, "--format", f"{form}={out}", "--show-suppressed",
         "--istioctl-codes", "--fail-on", "never", "--now", "2026-11-18T00:00:00Z"],
        cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"analyze {' '.join(map(str, paths))}: status {done.returncode}\n{done.stderr}")


def inputs():
    rules = ROOT / "testdata" / "rules"
    yield "all", [rules.relative_to(ROOT)]
    yield "example", [pathlib.Path("testdata/example")]
    for case in sorted(rules.glob("*/bad-*.yaml")):
        yield f"{case.parent.name}-{case.stem}", [case.relative_to(ROOT)]


def json_errors(schema_file):
    import jsonschema
    schema = json.loads((ROOT / "testdata" / "report" / schema_file).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    return lambda path: [f"{error.json_path}: {error.message[:300]}"
                         for error in validator.iter_errors(json.loads(path.read_text()))]


def junit_errors():
    from lxml import etree
    schema = etree.XMLSchema(etree.parse(str(folder / "junit.xsd")))

    def errors(path):
        schema.validate(etree.parse(str(path)))
        return [f"line {error.line}: {error.message}" for error in schema.error_log]
    return errors


def gitlab_errors():
    schema = json_errors("gitlab.schema.json")

    def errors(path):
        prints = [issue["fingerprint"] for issue in json.loads(path.read_text())]
        twice = {one for one in prints if prints.count(one) > 1}
        return schema(path) + [f"fingerprint {one} is not unique" for one in sorted(twice)]
    return errors


def run_sarif(files):
    """Microsoft's validator over all files; errors fail, everything else is counted."""
    report = files[0].parent / "validation.json"
    done = subprocess.run(
        [(folder / "node_modules/.bin/sarif-multitool").resolve(), "validate", *files,
         "--output", report],
        env=os.environ | {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"},
        capture_output=True, text=True)
    if not report.exists():
        sys.exit(f"the validator failed:\n{done.stdout}\n{done.stderr}")
    counts, failures = {}, []
    for run in json.loads(report.read_text())["runs"]:
        for note in run.get("invocations", [{}])[0].get("toolExecutionNotifications", []):
            failures.append(f"validator: {note['message']}")
        for result in run.get("results", []):
            level = result.get("level", "warning")
            counts[(level, result["ruleId"])] = counts.get((level, result["ruleId"]), 0) + 1
            if level == "error":
                place = result["locations"][0]["physicalLocation"]
                failures.append(f"{place['artifactLocation']}: {result['ruleId']}: "
                                f"{json.dumps(result['message'])[:400]}")
    for (level, rule), count in sorted(counts.items()):
        print(f"{level} {rule}: {count}")
    return failures


def findings_of(path):
    text = path.read_text()
    if check == "sarif":
        return len(json.loads(text)["runs"][0]["results"])
    if check == "json":
        return len(json.loads(text)["findings"])
    return len(json.loads(text)) if check == "gitlab" else text.count("<testcase ")


def rules_of(sarif):
    return {result["ruleId"] for result in json.loads(sarif.read_text())["runs"][0]["results"]}


def main():
    forms = {"json": lambda: json_errors("analyze.schema.json"), "gitlab": gitlab_errors,
             "junit": junit_errors}
    failures, findings, files, shown = [], 0, [], set()
    with tempfile.TemporaryDirectory() as scratch:
        for name, paths in inputs():
            out = pathlib.Path(scratch) / f"{name}.{check}"
            analyze(paths, check, out)
            found = findings_of(out)
            if found == 0 and name != "example":
                failures.append(f"{name}: no finding")
            if check == "sarif":
                new = rules_of(out) - shown
                shown |= new
                if not new and name != "example":
                    continue
            findings += found
            files.append(out)
        if check == "sarif":
            failures += run_sarif(files)
        else:
            errors = forms[check]()
            for file in files:
                failures += [f"{file.name}: {error}" for error in errors(file)]
    print(f"{check}: {len(files)} reports with {findings} findings, {len(failures)} errors")
    for failure in failures[:40]:
        print(failure)
    sys.exit(1 if failures else 0)


main()
