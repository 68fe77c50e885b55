"""Background jobs: output by position, input, true exit codes, limits."""

from __future__ import annotations

import time

from tests.support.toolserver import RawClient, RawReply, running


def finish(client: RawClient, job: str) -> RawReply:
    """Poll a job from its beginning until it has ended."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        reply = client.call("job_poll", job=job, wait_s=5)
        if not reply.result["running"]:
            return client.call("job_poll", job=job)
    raise AssertionError("the job did not end")


def test_a_job_is_followed_to_its_exit_code(client: RawClient) -> None:
    started = client.call("job_start", shell="echo one; echo two >&2; exit 5").result
    ended = finish(client, started["job"])
    assert (ended.result["exit_code"], ended.payload) == (5, b"one\ntwo\n")
    later = client.call("job_poll", job=started["job"], cursor=4)
    assert later.payload == b"two\n"


def test_a_poll_waits_for_output(client: RawClient) -> None:
    job = client.call("job_start", shell="sleep 0.3; echo late; sleep 100").result["job"]
    reply = client.call("job_poll", job=job, wait_s=20)
    assert (reply.payload, reply.result["running"]) == (b"late\n", True)
    assert client.call("job_kill", job=job).result == {
        "job": job,
        "running": False,
        "exit_code": 137,
        "stopped": None,
        "command": reply.result["command"],
    }
    assert client.call("job_kill", job=job).result["exit_code"] == 137


def test_a_job_reads_what_is_sent_to_it(client: RawClient) -> None:
    job = client.call("job_start", command=["cat"]).result["job"]
    client.call("job_input", b"hello\n", job=job).result  # noqa: B018
    assert client.call("job_poll", job=job, wait_s=20).payload == b"hello\n"
    client.call("job_input", job=job, close=True).result  # noqa: B018
    assert finish(client, job).result["exit_code"] == 0
    assert client.call("job_input", b"x", job=job).code == "unavailable"


def test_a_job_that_does_not_read_is_said_to_be_busy(client: RawClient) -> None:
    job = client.call("job_start", command=["sleep", "100"]).result["job"]
    codes = {client.call("job_input", b"x" * 60_000, job=job).header.get("ok") for _ in range(2)}
    assert False in codes
    client.call("job_kill", job=job)


def test_old_output_is_dropped_and_said_to_be(client: RawClient) -> None:
    job = client.call("job_start", shell="head -c 400000 /dev/zero; printf END").result["job"]
    ended = finish(client, job)
    assert len(ended.payload) == 256 * 1024
    assert ended.payload.endswith(b"END")
    assert ended.result["lost"] == 400_003 - 256 * 1024


def test_a_job_ends_although_its_child_keeps_the_output_open(client: RawClient) -> None:
    job = client.call("job_start", shell="sleep 100 & echo started").result["job"]
    assert finish(client, job).payload == b"started\n"
    client.call("job_kill", job=job)


def test_jobs_are_listed_and_forgotten(client: RawClient) -> None:
    job = client.call("job_start", command=["true"]).result["job"]
    finish(client, job)
    assert job in [row["job"] for row in client.call("job_list").json]
    assert client.call("job_forget", job=job).result == {}
    assert client.call("job_poll", job=job).code == "not_found"
    running_job = client.call("job_start", command=["sleep", "100"]).result["job"]
    assert client.call("job_forget", job=running_job).code == "busy"
    client.call("job_kill", job=running_job)


def test_a_missing_program_is_no_job(client: RawClient) -> None:
    assert client.call("job_start", command=["no-such-program"]).code == "not_found"


def test_places_are_limited_and_freed() -> None:
    with running() as server, server.connect() as client:
        jobs = [client.call("job_start", command=["sleep", "100"]).result["job"] for _ in range(32)]
        assert client.call("job_start", command=["true"]).code == "limit_jobs"
        client.call("job_kill", job=jobs[0])
        assert client.call("job_start", command=["true"]).result["job"] not in jobs
        assert server.process.poll() is None
