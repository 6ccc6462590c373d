"""The Celery application of the conformance test: transfers, a flaky one, and one that dies midway."""

import os
import pathlib
import time

from celery import Celery

SCRATCH = pathlib.Path(os.environ["CELERY_SCRATCH"])
app = Celery(
    "bank",
    broker=os.environ["CELERY_BROKER"],
    backend="file://" + str(SCRATCH / "results"),
)
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "region": "us-east-1",
        "queue_name_prefix": os.environ["CELERY_PREFIX"],
        "polling_interval": 0.1,
        "wait_time_seconds": 2,
        "visibility_timeout": 3,
    },
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
)


def note(line):
    """One line in the journal of what the workers did."""
    with open(SCRATCH / "journal", "a", encoding="utf-8") as journal:
        journal.write(line + "\n")


@app.task
def transfer(amount, unit):
    note(f"transfer {amount} {unit}")
    return {"moved": amount, "unit": unit}


@app.task(bind=True, max_retries=3)
def flaky(self):
    """Fails twice, then works; each retry is a delayed message."""
    note(f"flaky {self.request.retries}")
    if self.request.retries < 2:
        raise self.retry(countdown=1)
    return self.request.retries


@app.task
def hang_once(name):
    """The first run never ends by itself: its worker gets killed; the second run finishes."""
    first = not (SCRATCH / name).exists()
    (SCRATCH / name).touch()
    note(f"hang {'first' if first else 'second'}")
    while first:
        time.sleep(0.1)
    return "done by another worker"
