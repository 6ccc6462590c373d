"""Visibility timeouts and receipt handles of standard queues."""

import re
import time

import pytest
from conftest import eventually, refused


def test_a_received_message_is_hidden_until_its_timeout(new_queue):
    queue = new_queue(VisibilityTimeout="1")
    queue.send()
    first = queue.one()
    assert queue.receive() == []
    second = queue.one(AttributeNames=["ApproximateReceiveCount"])
    assert second["MessageId"] == first["MessageId"]
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"


def test_a_timeout_of_the_receive(queue):
    queue.send()
    assert queue.receive(VisibilityTimeout=0)
    assert queue.receive(VisibilityTimeout=30)
    assert queue.receive() == []


@pytest.mark.parametrize("seconds", [-1, 43201])
def test_timeouts_out_of_range(queue, seconds):
    queue.send()
    with refused("InvalidParameterValue", re.compile(f"^Value {seconds} for parameter VisibilityTimeout is invalid")):
        queue.receive(VisibilityTimeout=seconds)
    message = queue.one()
    with refused("InvalidParameterValue", re.compile(f"^Value {seconds} for parameter VisibilityTimeout is invalid")):
        queue.change(message, seconds)


def test_change_to_zero_shows_the_message_at_once(queue):
    queue.send()
    queue.change(queue.one(), 0)
    message = queue.one()
    assert queue.receive() == [], "the change was for one lease only"
    queue.delete(message)


def test_extend_again_and_again(new_queue):
    queue = new_queue(VisibilityTimeout="2")
    queue.send()
    message = queue.one()
    for _ in range(3):
        time.sleep(1)
        queue.change(message, 2)
        assert queue.receive() == []
    assert queue.one()["MessageId"] == message["MessageId"]


def test_not_more_than_12_hours_from_the_receive(queue):
    queue.send()
    message = queue.one()
    time.sleep(1.1)
    text = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"
    with refused("InvalidParameterValue", re.compile(re.escape(text))):
        queue.change(message, 43200)
    queue.change(message, 43190)


def test_change_after_the_timeout_without_a_new_receive(new_queue):
    queue = new_queue(VisibilityTimeout="1")
    queue.send()
    message = queue.one()
    eventually(lambda: queue.counts() == (1, 0, 0))
    queue.change(message, 30)


def test_delete_after_the_timeout_without_a_new_receive(new_queue):
    queue = new_queue(VisibilityTimeout="1")
    queue.send()
    message = queue.one()
    eventually(lambda: queue.counts() == (1, 0, 0))
    queue.delete(message)
    assert queue.counts() == (0, 0, 0)


def test_a_handle_that_was_overtaken_deletes_the_message(queue):
    """As AWS has it (verified by moto #4655). A worker that is slower than its visibility timeout
    has done the work; when the message stayed, the finished job came again and again."""
    queue.send()
    late = queue.one(VisibilityTimeout=0)
    second = queue.one(VisibilityTimeout=60)
    queue.delete(late)
    assert queue.counts() == (0, 0, 0)
    queue.delete(second)


def test_a_handle_that_was_overtaken_moves_the_visibility_but_gives_nothing_back(queue):
    queue.send()
    late = queue.one(VisibilityTimeout=0)
    queue.one(VisibilityTimeout=60)
    queue.change(late, 0)
    assert queue.counts() == (0, 1, 0), "somebody else has it"
    queue.change(late, 1)
    eventually(lambda: queue.counts() == (1, 0, 0))


def test_deleting_twice_succeeds(queue):
    queue.send()
    message = queue.one()
    for _ in range(3):
        queue.delete(message)
    assert queue.counts() == (0, 0, 0)


def test_change_of_a_deleted_message(queue):
    queue.send()
    message = queue.one()
    queue.change(message, 42)
    queue.delete(message)
    text = (
        f"Value {message['ReceiptHandle']} for parameter ReceiptHandle is invalid. Reason: Message does not "
        "exist or is not available for visibility timeout change."
    )
    with refused("InvalidParameterValue", text):
        queue.change(message, 42)


@pytest.mark.parametrize("handle", ["garbage", "AQEB" + "A" * 300, "ü", "a b", "%00"])
def test_handles_that_are_none(queue, handle):
    text = f'The input receipt handle "{handle}" is not a valid receipt handle.'
    with refused("ReceiptHandleIsInvalid", text):
        queue.delete(handle)
    with refused("ReceiptHandleIsInvalid", text):
        queue.change(handle, 1)


def test_a_handle_without_end(queue):
    """How much of it the text repeats is the server's business, within bounds."""
    with refused("ReceiptHandleIsInvalid", re.compile("^.{10,10000}$")):
        queue.delete("x" * 100_000)


def test_a_handle_that_was_tampered_with(queue):
    queue.send()
    good = queue.one()["ReceiptHandle"]
    middle = len(good) // 2
    bad = good[:middle] + ("A" if good[middle] != "A" else "B") + good[middle + 1 :]
    with refused("ReceiptHandleIsInvalid"):
        queue.delete(bad)
    assert queue.counts() == (0, 1, 0)


def test_a_handle_of_another_queue(queue, new_queue):
    other = new_queue()
    other.send()
    message = other.one()
    with refused("ReceiptHandleIsInvalid"):
        queue.delete(message)
    with refused("ReceiptHandleIsInvalid"):
        queue.change(message, 0)
    assert other.counts() == (0, 1, 0)


def test_a_handle_from_before_the_queue_was_made_again(queue, new_queue, sqs):
    queue.send()
    message = queue.one()
    sqs.delete_queue(QueueUrl=queue.url)
    again = new_queue(queue.name)
    again.send("new")
    again.one()
    with refused("ReceiptHandleIsInvalid"):
        again.delete(message)
    assert again.counts() == (0, 1, 0)


def test_an_expired_message_keeps_its_place(queue):
    """A message that comes back is delivered before a younger one."""
    queue.send("old")
    queue.receive(VisibilityTimeout=1)
    queue.send("young")
    eventually(lambda: queue.counts() == (2, 0, 0))
    assert queue.bodies(1) == ["old"]


def test_poison_messages_go_to_the_back(queue):
    """Received three times and never deleted, a message goes behind those that wait (AWS' metrics guide)."""
    queue.send("poison")
    queue.send("good")
    for _ in range(3):
        assert queue.bodies(1, VisibilityTimeout=0) == ["poison"]
    queue.send("later")
    assert [queue.bodies(1)[0] for _ in range(3)] == ["good", "poison", "later"]
