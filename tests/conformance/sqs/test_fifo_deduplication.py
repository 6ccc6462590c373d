"""Deduplication over five minutes, and the replay of a receive by its attempt id."""

import pytest
from conftest import eventually, refused

DEDUPLICATION = pytest.mark.parametrize("by_content", [True, False])


@pytest.fixture()
def dedup(new_queue):
    """(queue, send) for both ways to tell duplicates."""

    def make(by_content, **attributes):
        queue = new_queue(fifo=True, ContentBasedDeduplication="true" if by_content else "false", **attributes)
        own = {} if by_content else {"MessageDeduplicationId": "dedup1"}
        return queue, lambda group="g", body="item": queue.send(body, MessageGroupId=group, **own)

    return make


@DEDUPLICATION
def test_a_duplicate_is_accepted_and_not_delivered(dedup, by_content):
    queue, send = dedup(by_content)
    first, second = send(), send()
    assert second["MessageId"] == first["MessageId"]
    assert second["SequenceNumber"] == first["SequenceNumber"]
    assert second["MD5OfMessageBody"] == first["MD5OfMessageBody"]
    assert queue.counts() == (1, 0, 0)


@DEDUPLICATION
def test_a_duplicate_after_the_delete(dedup, by_content):
    queue, send = dedup(by_content)
    send()
    queue.delete(queue.one())
    send()
    assert queue.receive(wait=1) == []


@DEDUPLICATION
def test_a_duplicate_in_another_group(dedup, by_content):
    queue, send = dedup(by_content)
    send("group-1")
    send("group-2")
    assert queue.counts() == (1, 0, 0)


@DEDUPLICATION
def test_scope_of_the_group(dedup, by_content):
    """High throughput: the key is group and id. It does not depend on FifoThroughputLimit (recorded)."""
    queue, send = dedup(by_content, DeduplicationScope="messageGroup")
    send("group-1")
    send("group-2")
    send("group-2")
    assert queue.counts() == (2, 0, 0)


def test_the_id_counts_and_not_the_body(new_queue):
    queue = new_queue(fifo=True)
    queue.send("one", MessageGroupId="g", MessageDeduplicationId="same")
    queue.send("two", MessageGroupId="g", MessageDeduplicationId="same")
    queue.send("one", MessageGroupId="g", MessageDeduplicationId="other")
    assert queue.bodies() == ["one", "one"]


def test_an_explicit_id_wins_over_the_content(fifo):
    fifo.send("same", MessageGroupId="g", MessageDeduplicationId="1")
    fifo.send("same", MessageGroupId="g", MessageDeduplicationId="2")
    fifo.send("same", MessageGroupId="g")
    assert fifo.counts() == (3, 0, 0)


def test_attributes_are_no_content(fifo):
    for value in ("1", "2"):
        attributes = {"a": {"DataType": "String", "StringValue": value}}
        fifo.send("same", MessageGroupId="g", MessageAttributes=attributes)
    assert fifo.counts() == (1, 0, 0)


def test_the_content_s_id_is_its_sha_256(fifo):
    fifo.send("foobar", MessageGroupId="g")
    found = fifo.one(AttributeNames=["MessageDeduplicationId"])["Attributes"]["MessageDeduplicationId"]
    assert found == "c3ab8ff13720e8ad9047dd39466b3c8974e592c2fa383d4a3960714caef0c4f2"


def test_duplicates_within_a_batch(new_queue):
    queue = new_queue(fifo=True)
    entry = {"MessageBody": "m", "MessageGroupId": "g", "MessageDeduplicationId": "same"}
    answer = queue.send_batch(entry, entry)
    first, second = answer["Successful"]
    assert first["MessageId"] == second["MessageId"]
    assert queue.counts() == (1, 0, 0)


def test_a_purge_forgets(new_queue, sqs):
    queue = new_queue(fifo=True)
    queue.send("message-1", MessageGroupId="g", MessageDeduplicationId="d")
    sqs.purge_queue(QueueUrl=queue.url)
    queue.send("message-2", MessageGroupId="g", MessageDeduplicationId="d")
    assert queue.bodies(wait=1) == ["message-2"]


def test_a_refused_send_leaves_no_trace(new_queue):
    queue = new_queue(fifo=True, MaximumMessageSize="1024")
    with refused("InvalidParameterValue"):
        queue.send("x" * 1025, MessageGroupId="g", MessageDeduplicationId="d")
    queue.send("x", MessageGroupId="g", MessageDeduplicationId="d")
    assert queue.bodies() == ["x"]


def attempt(queue, name, **more):
    return queue.receive(10, ReceiveRequestAttemptId=name, **more)


def test_an_attempt_again_gives_the_same_messages_and_handles(fifo):
    """The client lost the answer to a broken connection and asks again."""
    fifo.send("a", MessageGroupId="g")
    fifo.send("b", MessageGroupId="g")
    first = attempt(fifo, "attempt-1")
    assert [m["Body"] for m in first] == ["a", "b"]
    again = attempt(fifo, "attempt-1")
    assert [(m["MessageId"], m["ReceiptHandle"]) for m in again] == [
        (m["MessageId"], m["ReceiptHandle"]) for m in first
    ]
    assert fifo.receive(10) == [], "another attempt sees them locked"
    for message in again:
        fifo.delete(message)
    assert fifo.counts() == (0, 0, 0)


def test_an_attempt_again_starts_the_timeout_anew(fifo):
    fifo.send("a", MessageGroupId="g")
    (message,) = attempt(fifo, "x", VisibilityTimeout=1)
    (same,) = attempt(fifo, "x", VisibilityTimeout=60)
    assert same["ReceiptHandle"] == message["ReceiptHandle"]
    assert fifo.receive(wait=2) == []
    fifo.delete(message)


def test_no_replay_after_a_delete(fifo):
    fifo.send("a", MessageGroupId="g")
    fifo.send("b", MessageGroupId="g")
    first, _second = attempt(fifo, "x")
    fifo.delete(first)
    assert attempt(fifo, "x") == []


def test_no_replay_after_a_change_of_visibility(fifo):
    fifo.send("a", MessageGroupId="g")
    (message,) = attempt(fifo, "x")
    fifo.change(message, 60)
    assert attempt(fifo, "x") == []


def test_no_replay_after_the_timeout(fifo):
    fifo.send("a", MessageGroupId="g")
    (message,) = attempt(fifo, "x", VisibilityTimeout=1)
    eventually(lambda: fifo.counts() == (1, 0, 0))
    (fresh,) = attempt(fifo, "x")
    assert fresh["ReceiptHandle"] != message["ReceiptHandle"]


@pytest.mark.parametrize("value", ["", "a" * 129, "with space"])
def test_attempt_ids_are_checked(careless, fifo, value):
    with refused("InvalidParameterValue"):
        careless.receive_message(QueueUrl=fifo.url, ReceiveRequestAttemptId=value)
