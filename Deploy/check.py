#!/usr/bin/env python3
"""Checks the files of this folder without a cluster: `make check-deploy`.

- HAProxy's and Prometheus' files by their own programs, the rules by their tests
- systemd's units by systemd-analyze, and how exposed the service is
- YAML and JSON by a parser; the Kubernetes objects by the schemas of their API where `kubernetes-validate` is installed
- every metric that a rule or the board asks for is one that the server has (--genrec)
- every alert has an entry in the runbook

What a program is missing for is said and skipped.
"""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile

import urllib.request

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
failures = []


def path(*parts):
    return os.path.join(HERE, *parts)


def verdict(what, fault):
    print(f"{'FAILED ' if fault else 'ok     '} {what}" + (f": {fault}" if fault else ""), flush=True)
    if fault:
        failures.append(what)


def skip(what, why):
    print(f"skipped {what}: {why}", flush=True)


def run(what, *command, cwd=HERE):
    if not shutil.which(command[0]):
        return skip(what, f"no {command[0]}")
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    verdict(what, (done.stdout + done.stderr).strip() if done.returncode else None)


def systemd():
    if not shutil.which("systemd-analyze"):
        return skip("systemd units", "no systemd-analyze")
    with tempfile.TemporaryDirectory() as folder:
        units = []
        for name in sorted(os.listdir(path("systemd"))):
            text = open(path("systemd", name), encoding="utf-8").read()
            # The binary need not be installed here.
            text = text.replace("/usr/local/bin/genrec", "/bin/true")
            units.append(os.path.join(folder, name))
            open(units[-1], "w", encoding="utf-8").write(text)
        done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
        ours = [line for line in (done.stdout + done.stderr).split("\n") if "genrec" in line]
        verdict("systemd-analyze verify", "\n".join(ours) or None)
        done = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--no-pager", units[0] if "genrec.service" in units[0] else next(u for u in units if u.endswith(".service"))],
            capture_output=True,
            text=True,
        )
        found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
        level = float(found.group(1)) if found else 10
        verdict(f"systemd-analyze security: {level}", None if level <= 2 else "more than 2.0")


def documents():
    for folder, _, names in os.walk(HERE):
        for name in sorted(names):
            file = os.path.join(folder, name)
            try:
                if name.endswith((".yaml", ".yml")):
                    list(yaml.safe_load_all(open(file, encoding="utf-8")))
                elif name.endswith(".json"):
                    json.load(open(file, encoding="utf-8"))
            except (ValueError, yaml.YAMLError) as error:
                verdict(os.path.relpath(file, HERE), str(error))
    verdict("YAML and JSON parse", None)


def kubernetes():
    what = "Kubernetes objects"
    if not shutil.which("kubectl"):
        return skip(what, "no kubectl")
    done = subprocess.run(["kubectl", "kustomize", path("kubernetes", "production")], capture_output=True, text=True)
    if done.returncode:
        return verdict("kubectl kustomize", done.stderr.strip())
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    verdict(f"kubectl kustomize: {len(objects)} objects", None)
    try:
        import kubernetes_validate
    except ImportError:
        return skip(what, "pip install kubernetes-validate")
    for each in objects:
        name = f"{each['kind']} {each['metadata']['name']}"
        if each["apiVersion"].startswith("monitoring.coreos.com/"):
            skip(name, "a custom resource, whose schema is the operator's")
            continue
        try:
            kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)
        except Exception as error:  # The library's errors have no common type.
            verdict(name, str(error).split("\n")[0])
    verdict(f"{what} by the schemas of {kubernetes_validate.latest_version()}", None)


SUFFIX = re.compile(r"_(bucket|sum|count)$")
NAME = re.compile(r"\b((?:genrec|process)_[a-z0-9_]+)")
# Present only with a certificate, an access log file or a collector.
OPTIONAL = {"genrec_tls_certificate_expiry_timestamp_seconds"}


def metrics(binary):
    expressions = []
    for group in yaml.safe_load(open(path("prometheus", "rules.yaml"), encoding="utf-8"))["groups"]:
        expressions += [rule["expr"] for rule in group["rules"]]
    board = json.load(open(path("grafana", "genrec.json"), encoding="utf-8"))
    expressions += [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    wanted = {SUFFIX.sub("", name) for each in expressions for name in NAME.findall(each)} - OPTIONAL
    if not binary:
        return skip(f"{len(wanted)} metrics exist", "no --genrec")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([binary, "serve", "--listen", f"127.0.0.1:{port}"], stdout=subprocess.PIPE)
    try:
        server.stdout.readline()
        url = f"http://127.0.0.1:{port}"
        body = b'{"user_id":"u","history":[{"item":"anime-4-01"}],"k":3}'
        headers = {"Content-Type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(url + "/recommend", body, headers)).read()
        text = urllib.request.urlopen(url + "/metrics").read().decode()
    finally:
        server.terminate()
        server.wait()
    known = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    missing = sorted(wanted - known)
    verdict(f"{len(wanted)} metrics of rules and board exist", ", ".join(missing) or None)


def runbook():
    text = open(path("README.md"), encoding="utf-8").read()
    entries = {title.strip().lower() for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    rules = [
        rule
        for group in yaml.safe_load(open(path("prometheus", "rules.yaml"), encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    missing = [rule["alert"] for rule in rules if rule["alert"].lower() not in entries]
    wrong = [rule["alert"] for rule in rules if rule["annotations"]["runbook"] != "#" + rule["alert"].lower()]
    verdict(f"{len(rules)} alerts have a runbook entry", ", ".join(missing + wrong) or None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genrec", help="the binary, whose metrics are compared")
    options = parser.parse_args()
    run("haproxy -c", "haproxy", "-c", "-f", "haproxy/haproxy.cfg")
    run("promtool check config", "promtool", "check", "config", "prometheus.yml", cwd=path("prometheus"))
    run("promtool check config, compose", "promtool", "check", "config", "--syntax-only", "compose.yml", cwd=path("prometheus"))
    run("promtool check rules", "promtool", "check", "rules", "rules.yaml", cwd=path("prometheus"))
    run("promtool test rules", "promtool", "test", "rules", "rules-test.yaml", cwd=path("prometheus"))
    run("docker-compose config", "docker-compose", "-f", "compose.yaml", "config", "-q")
    systemd()
    documents()
    kubernetes()
    metrics(options.genrec)
    runbook()
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
