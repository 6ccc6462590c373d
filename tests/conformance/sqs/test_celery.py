"""Celery with the SQS transport (kombu): real worker processes run real tasks."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import pytest
from conftest import eventually, unique

pytest.importorskip("celery", reason="Celery is in the environment of the current clients")
JOB = pathlib.Path(__file__).resolve().parents[1] / "celery_job"
TIMEOUT_SECONDS = 60


@pytest.fixture()
def bank(server, monkeypatch):
    """(the Celery module, start_worker) on a prefix of queues of its own."""
    scratch = tempfile.mkdtemp(prefix="kyu-celery-")
    os.mkdir(os.path.join(scratch, "results"))
    settings = {
        "CELERY_SCRATCH": scratch,
        "CELERY_BROKER": f"sqs://test:test@127.0.0.1:{server.port}//",
        "CELERY_PREFIX": unique("celery") + "-",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(JOB))
    monkeypatch.delitem(sys.modules, "bank", raising=False)
    import bank

    workers = []

    def start_worker():
        command = [sys.executable, "-m", "celery", "-A", "bank", "worker", "--pool", "solo", "--loglevel", "INFO"]
        command += ["--without-gossip", "--without-mingle", "--without-heartbeat", "-n", unique("w") + "@%h"]
        log = open(os.path.join(scratch, f"worker-{len(workers)}.log"), "w", encoding="utf-8")  # noqa: SIM115
        workers.append(subprocess.Popen(command, cwd=JOB, stdout=log, stderr=subprocess.STDOUT))
        log.close()
        return workers[-1]

    yield bank, start_worker
    for worker in workers:
        worker.kill()
        worker.wait()
    for log in sorted(pathlib.Path(scratch).glob("worker-*.log")):
        print(f"--- {log.name}\n{log.read_text()[-4000:]}")  # pytest shows it when the test failed.


def journal(bank):
    path = bank.SCRATCH / "journal"
    return path.read_text().splitlines() if path.exists() else []


def test_tasks_run_and_their_messages_are_deleted(bank, sqs):
    bank, start_worker = bank
    results = [bank.transfer.delay(i, "EUR") for i in range(10)]
    start_worker()
    for i, result in enumerate(results):
        assert result.get(timeout=TIMEOUT_SECONDS) == {"moved": i, "unit": "EUR"}
    assert sorted(journal(bank)) == sorted(f"transfer {i} EUR" for i in range(10))
    (url,) = sqs.list_queues(QueueNamePrefix=os.environ["CELERY_PREFIX"] + "celery")["QueueUrls"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    eventually(
        lambda: set(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()) == {"0"}
    )


def test_a_task_is_retried_later(bank):
    bank, start_worker = bank
    start_worker()
    assert bank.flaky.delay().get(timeout=TIMEOUT_SECONDS) == 2
    assert journal(bank) == ["flaky 0", "flaky 1", "flaky 2"]


def test_a_killed_worker_s_task_is_run_by_another(bank):
    """The visibility timeout lapses and the message comes back: nothing acknowledged is lost."""
    bank, start_worker = bank
    result = bank.hang_once.delay("marker")
    first = start_worker()
    eventually(lambda: journal(bank) == ["hang first"], TIMEOUT_SECONDS)
    first.send_signal(signal.SIGKILL)
    first.wait()
    start_worker()
    assert result.get(timeout=TIMEOUT_SECONDS) == "done by another worker"
    assert journal(bank) == ["hang first", "hang second"]
