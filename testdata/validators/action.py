"""action.py BINARY: runs the shell steps of the GitHub Action as a runner would (composite actions
run them with `bash --noprofile --norc -eo pipefail`), with its inputs and outputs in files."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / ".github" / "actions" / "analyze"
binary = str(pathlib.Path(sys.argv[1]).resolve())
action = yaml.safe_load((FOLDER / "action.yml").read_text())

BAD = """apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: PERMISSIVE}}
"""


def run(given, scratch):
    inputs = {name: entry["default"] for name, entry in action["inputs"].items()} | given
    outputs = {}

    def fill(text):
        def value(match):
            name = match.group(1)
            if name.startswith("inputs."):
                return inputs[name[len("inputs."):]]
            return outputs[name.split(".outputs.")[1]]
        return re.sub(r"\$\{\{ ([a-z.-]+) \}\}", value, text)

    printed, status = "", 0
    for step in action["runs"]["steps"]:
        if "run" not in step or step["id"] == "build":
            continue
        assert step["shell"] == "bash"
        environment = os.environ | {name: fill(text) for name, text in step.get("env", {}).items()}
        environment |= {"GITHUB_ACTION_PATH": str(FOLDER), "RUNNER_TEMP": str(scratch),
                        "GITHUB_OUTPUT": str(scratch / "output"),
                        "GITHUB_STEP_SUMMARY": str(scratch / "summary")}
        (scratch / "step.sh").write_text(step["run"])
        (scratch / "output").write_text("")
        done = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail",
                               str(scratch / "step.sh")],
                              cwd=scratch, env=environment, capture_output=True, text=True)
        printed += done.stdout + done.stderr
        outputs |= dict(line.split("=", 1)
                        for line in (scratch / "output").read_text().splitlines())
        if done.returncode != 0:
            return done.returncode, printed, outputs
    return status, printed, outputs


def check(name, given, status, says):
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        (scratch / "mesh").mkdir()
        (scratch / "mesh" / "a.yaml").write_text(BAD)
        (scratch / "summary").write_text("")
        got, printed, outputs = run({"binary": binary, "paths": "mesh"} | given, scratch)
        assert got == status, f"{name}: status {got}, expected {status}\n{printed}"
        assert says in printed, f"{name}: no `{says}` in\n{printed}"
        assert outputs["status"] == str(status), f"{name}: {outputs}"
        if status != 2:
            assert (scratch / outputs["sarif"]).exists(), f"{name}: no SARIF"
            assert "### meshproof: " in (scratch / "summary").read_text(), f"{name}: no summary"
    print(f"action: {name}: as expected")


assert (FOLDER / "../../../app/build").resolve().exists()
LINE = "::warning file=mesh/a.yaml,line=4,endLine=4,col=21,endColumn=31,title=permissive-mtls/MP0201::"
check("findings", {}, 1, LINE)
check("nothing at or above --fail-on", {"fail-on": "error"}, 0, LINE)
check("another report", {"sarif": "other name.sarif", "fail-on": "never"}, 0, LINE)
check("arguments", {"arguments": "--skip MP02 --min-severity warning"}, 0, "")
check("a path that does not exist", {"paths": "mesh gone"}, 2, "gone")
check("an unknown rule", {"arguments": "--only nosuchrule"}, 2, 'no rule "nosuchrule"')
