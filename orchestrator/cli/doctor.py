"""`jido doctor`: what this machine can do, and what to do about what it cannot."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Check the machine: engine, image, runtime, Redis, keys, terminal, port.

    Exit code 0 when a session could run here, else 1.
    """
    import json
    from dataclasses import asdict

    from orchestrator.cli.diagnosis import diagnose

    checks = diagnose()
    healthy = all(check.status != "fault" for check in checks)
    if as_json:
        value = {"ok": healthy, "checks": [asdict(check) for check in checks]}
        print(json.dumps(value, ensure_ascii=False))
        return 0 if healthy else 1
    marks = {"ok": "ok     ", "warning": "warning", "fault": "FAULT  "}
    for check in checks:
        print(f"{marks[check.status]}  {check.name:<10}  {' '.join(check.detail.split())}")
        if check.remedy:
            print(f"{'':21}→ {' '.join(check.remedy.split())}")
    print("A session can run here." if healthy else "A session cannot run here yet.")
    return 0 if healthy else 1
