"""PurgeQueue."""

import pytest
from clients import sqs_client
from conftest import NO_WAITS, eventually, queue_factory, refused


def test_everything_goes(queue, sqs):
    queue.send_batch(*"abcde")
    queue.send("later", DelaySeconds=1)
    queue.receive(2, VisibilityTimeout=1)
    sqs.purge_queue(QueueUrl=queue.url)
    assert queue.counts() == (0, 0, 0)
    assert queue.receive(10, wait=2) == [], "neither those in flight nor the delayed come back"


def test_new_messages_flow_after_a_purge(queue, sqs):
    queue.send("old")
    sqs.purge_queue(QueueUrl=queue.url)
    queue.send("new")
    assert queue.bodies() == ["new"]


def test_an_old_handle_is_harmless(queue, sqs):
    queue.send("old")
    message = queue.one()
    sqs.purge_queue(QueueUrl=queue.url)
    queue.send("new")
    queue.delete(message)
    assert queue.bodies() == ["new"]


def test_a_purge_unlocks_groups(fifo, sqs):
    fifo.send("old", MessageGroupId="g")
    fifo.one()
    sqs.purge_queue(QueueUrl=fifo.url)
    fifo.send("new", MessageGroupId="g")
    assert fifo.bodies() == ["new"]


@pytest.fixture()
def strict(own_server):
    """A client of a server with AWS' wait between purges."""
    return sqs_client(own_server(env={**NO_WAITS, "KYU_SQS_PURGE_WAIT_S": "60"}).url)


def test_once_in_sixty_seconds_when_the_wait_is_on(strict):
    queue = queue_factory(strict)()
    strict.purge_queue(QueueUrl=queue.url)
    text = f"Only one PurgeQueue operation on {queue.name} is allowed every 60 seconds."
    with refused("AWS.SimpleQueueService.PurgeQueueInProgress", text, http=403):
        strict.purge_queue(QueueUrl=queue.url)


def test_the_wait_is_shorter_when_set_so(own_server):
    sqs = sqs_client(own_server(env={**NO_WAITS, "KYU_SQS_PURGE_WAIT_S": "1"}).url)
    queue = queue_factory(sqs)()
    sqs.purge_queue(QueueUrl=queue.url)

    def purged():
        try:
            return sqs.purge_queue(QueueUrl=queue.url)
        except sqs.exceptions.PurgeQueueInProgress:
            return None

    assert eventually(purged)
