"""A slow proof: what the scanners testssl and sslyze find in a daemon that speaks TLS 1.2 and 1.3.

    python -m tests.process.tls_scan [PYTHON_WITH_SSLYZE]

Findings of medium severity or worse end it with a status of 1. What concerns the certificate of the
test itself (nobody's authority, no way to ask whether it was revoked) and the fields that an
application may send is left out.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.certificates import Authority
from tests.process.conftest import APPLICATION, CONFIG
from tests.process.daemon import Daemon

RESULT = Path(__file__).parents[2] / "docs" / "results" / "tls-scan.md"
TABLE = '[ssl]\ncertificate = "host.crt"\nkeyfile = "host.key"\nprotocol_min = "tls1.2"\n'
HARMLESS = ("OK", "INFO", "LOW", "DEBUG", "WARN")
OF_THE_CERTIFICATE = "cert_"
OF_THE_APPLICATION = ("security_headers", "HSTS")
PATIENCE_S = 1200


def main(scanner: str = "") -> int:
    """Scan, write the result, and say whether it is good."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        authority = Authority()
        issued = authority.issue("localhost", days=80, kind="rsa")
        issued.write(directory, "host")
        (directory / "ca.crt").write_bytes(authority.pem)
        (directory / "served.py").write_text(APPLICATION)
        with Daemon(directory, CONFIG.format(workers=2, more=TABLE)) as daemon:
            lines, bad = testssl(directory, daemon.port)
            if scanner:
                lines += sslyze(scanner, directory, daemon.port)
    RESULT.write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join(lines) + "\n")
    return bad


def testssl(directory: Path, port: int) -> tuple[list[str], int]:
    """Lines about what testssl says, and 1 if some of it is medium or worse."""
    program = shutil.which("testssl") or shutil.which("testssl.sh")
    assert program, "testssl is not installed"
    report = directory / "report.json"
    command = [program, "--quiet", "--color", "0", "--warnings", "off", "--add-ca"]
    command += [str(directory / "ca.crt"), "--jsonfile", str(report), f"localhost:{port}"]
    subprocess.run(command, stdout=subprocess.DEVNULL, timeout=PATIENCE_S, check=False)
    findings = json.loads(report.read_text())
    others = (OF_THE_CERTIFICATE, *OF_THE_APPLICATION)
    ours = [one for one in findings if not one["id"].startswith(others)]
    bad = [one for one in ours if one["severity"] not in HARMLESS]
    notable = [one for one in ours if one["severity"] in {"LOW", "WARN"}] + bad
    counts = {word: sum(one["severity"] == word for one in ours) for word in (*HARMLESS,)}
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    lines = [
        "# What scanners find",
        "",
        f"`make tls-scan`, {time.strftime('%Y-%m-%d')}, TLS 1.2 and 1.3, otherwise the defaults.",
        "",
        "## testssl",
        "",
        "Without what is the test certificate's and the application's (fields of a response):",
        f"{told}; {len(bad)} medium or worse.",
        "",
        "| finding | severity | what it says |",
        "|---|---|---|",
        *(f"| {one['id']} | {one['severity']} | {one['finding']} |" for one in notable),
    ]
    return lines, int(bool(bad))


def sslyze(python: str, directory: Path, port: int) -> list[str]:
    """Lines about what sslyze says."""
    report = directory / "sslyze.json"
    command = [python, "-m", "sslyze", "--json_out", str(report), f"localhost:{port}"]
    subprocess.run(command, stdout=subprocess.DEVNULL, timeout=PATIENCE_S, check=False)
    (server,) = json.loads(report.read_text())["server_scan_results"]
    results = server["scan_result"]
    rows = []
    for name in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2", "tls_1_3"):
        suites = results[f"{name}_cipher_suites"]["result"]["accepted_cipher_suites"]
        names = [one["cipher_suite"]["name"] for one in suites]
        rows.append((name, ", ".join(names) or "refused"))
    for name, key in (
        ("heartbleed", "is_vulnerable_to_heartbleed"),
        ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection"),
        ("robot", "robot_result"),
        ("tls_compression", "supports_compression"),
        ("tls_fallback_scsv", "supports_fallback_scsv"),
        ("session_renegotiation", "is_vulnerable_to_client_renegotiation_dos"),
    ):
        found = results[name]["result"]
        rows.append((name, f"{key}: {found[key]}" if found else results[name]["status"]))
    table = [f"| {name} | {said} |" for name, said in rows]
    return ["", "## sslyze", "", "| scan | result |", "|---|---|", *table]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
