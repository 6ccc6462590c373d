"""FIFO queues: order, and the lock that a message in flight puts on its group."""

import re
import threading
import time

import pytest
from conftest import eventually, refused


def test_order_within_a_group(new_queue):
    queue = new_queue(fifo=True)
    for i in range(4):
        queue.send(f"m{i}", MessageGroupId="g", MessageDeduplicationId=str(i))
    for i in range(4):
        message = queue.one()
        assert message["Body"] == f"m{i}"
        queue.delete(message)


def test_sequence_numbers_rise(fifo, queue):
    numbers = [fifo.send(f"m{i}", MessageGroupId=str(i % 2))["SequenceNumber"] for i in range(5)]
    assert all(re.fullmatch(r"\d{20}", number) for number in numbers)
    assert numbers == sorted(numbers) and len(set(numbers)) == 5
    assert "SequenceNumber" not in queue.send()


def test_as_many_of_one_group_as_possible(fifo):
    fifo.send("g1-m1", MessageGroupId="g1")
    fifo.send("g2-m1", MessageGroupId="g2")
    fifo.send("g1-m2", MessageGroupId="g1")
    fifo.send("g1-m3", MessageGroupId="g1")
    assert fifo.bodies() == ["g1-m1", "g1-m2", "g1-m3", "g2-m1"]


def test_a_message_in_flight_locks_its_group(fifo):
    for i in range(4):
        fifo.send(f"g1-m{i}", MessageGroupId="g1")
    fifo.send("g2-m0", MessageGroupId="g2")
    assert fifo.bodies(2) == ["g1-m0", "g1-m1"]
    assert fifo.bodies() == ["g2-m0"]
    assert fifo.bodies() == []


def test_after_the_timeout_the_group_comes_in_order(new_queue):
    queue = new_queue(fifo=True, ContentBasedDeduplication="true", VisibilityTimeout="1")
    for i in range(3):
        queue.send(f"m{i}", MessageGroupId="g")
    assert queue.bodies() == ["m0", "m1", "m2"]
    eventually(lambda: queue.counts() == (3, 0, 0))
    assert queue.bodies() == ["m0", "m1", "m2"]


def test_a_group_is_free_after_its_messages_were_deleted(fifo):
    send_interleaved(fifo)
    taken = fifo.receive(2)
    assert [m["Body"] for m in taken] == ["g1-m1", "g1-m2"]
    for message in taken:
        fifo.delete(message)
    rest = fifo.bodies()
    assert sorted(rest) == ["g1-m3", "g1-m4", "g2-m1", "g2-m2", "g3-m1"]
    assert ordered(rest)


def test_a_partial_delete_keeps_the_rest_locked(fifo):
    send_interleaved(fifo)
    first, _second = fifo.receive(2)
    fifo.delete(first)
    rest = fifo.bodies()
    assert sorted(rest) == ["g2-m1", "g2-m2", "g3-m1"]
    assert ordered(rest)


def send_interleaved(queue):
    for body in ("g1-m1", "g2-m1", "g1-m2", "g2-m2", "g1-m2", "g1-m3", "g1-m4", "g3-m1"):
        queue.send(body, MessageGroupId=body[:2])


def ordered(bodies):
    groups = {}
    for body in bodies:
        groups.setdefault(body[:2], []).append(body)
    return all(members == sorted(members) for members in groups.values())


def test_change_to_zero_frees_that_message_only(fifo):
    """Recorded: g1-m1 is visible again, g1-m2 stays with its holder."""
    for body in ("g1-m1", "g1-m2", "g2-m1"):
        fifo.send(body, MessageGroupId=body[:2])
    first, _second = fifo.receive(2)
    fifo.change(first, 0)
    assert sorted(fifo.bodies(3, wait=2)) == ["g1-m1", "g2-m1"]


def test_change_to_a_short_timeout_frees_that_message_only(fifo):
    for body in ("g1-m1", "g1-m2", "g2-m1"):
        fifo.send(body, MessageGroupId=body[:2])
    first, _second = fifo.receive(2)
    fifo.change(first, 1)
    eventually(lambda: fifo.counts() == (2, 1, 0))
    assert sorted(fifo.bodies(3)) == ["g1-m1", "g2-m1"]


@pytest.mark.parametrize(("extended", "visible"), [(0, []), (1, ["foo"]), (2, ["foo", "bar"])])
def test_an_extended_message_blocks_those_after_it(new_queue, extended, visible):
    queue = new_queue(fifo=True, ContentBasedDeduplication="true", VisibilityTimeout="1")
    for body in ("foo", "bar", "baz"):
        queue.send(body, MessageGroupId="1")
    taken = queue.receive(5)
    assert [m["Body"] for m in taken] == ["foo", "bar", "baz"]
    queue.change(taken[extended], 30)
    eventually(lambda: queue.counts()[1] == 1)
    assert queue.bodies(5) == visible


def test_a_receive_with_no_timeout_does_not_lock(fifo):
    for body in ("g1-m1", "g2-m1", "g2-m2", "g3-m1", "g1-m2"):
        fifo.send(body, MessageGroupId=body[:2])
    assert fifo.bodies(3, VisibilityTimeout=0) == ["g1-m1", "g1-m2", "g2-m1"]
    everything = fifo.bodies(10, VisibilityTimeout=0)
    assert sorted(everything) == ["g1-m1", "g1-m2", "g2-m1", "g2-m2", "g3-m1"]
    assert ordered(everything)


def test_sending_to_a_locked_group_does_not_unlock_it(fifo):
    """Three waiters; one gets the message, the next is served when it is deleted."""
    came, arrived = [], threading.Semaphore(0)

    def wait():
        for message in fifo.receive(1, wait=20):
            came.append(message)
            arrived.release()

    waiters = [threading.Thread(target=wait, daemon=True) for _ in range(3)]
    for waiter in waiters:
        waiter.start()
    fifo.send("message-1", MessageGroupId="1")
    assert arrived.acquire(timeout=10)
    fifo.send("message-2", MessageGroupId="1")
    time.sleep(0.5)
    assert [m["Body"] for m in came] == ["message-1"]
    fifo.delete(came[0])
    assert arrived.acquire(timeout=10)
    assert [m["Body"] for m in came] == ["message-1", "message-2"]
    fifo.delete(came[1])
    fifo.send("message-3", MessageGroupId="1")
    for waiter in waiters:
        waiter.join(10)


def test_an_emptied_group_can_be_used_again(fifo):
    for i in range(2):
        fifo.send(f"m{i}", MessageGroupId="g")
        message = fifo.one()
        assert message["Body"] == f"m{i}"
        fifo.delete(message)
        assert fifo.receive() == []


def test_an_expired_handle_is_refused(new_queue):
    queue = new_queue(fifo=True, ContentBasedDeduplication="true", VisibilityTimeout="1")
    queue.send("m", MessageGroupId="1")
    handle = queue.one()["ReceiptHandle"]
    eventually(lambda: queue.counts() == (1, 0, 0))
    text = f"Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
    with refused("InvalidParameterValue", text):
        queue.delete(handle)
    assert queue.one()["Body"] == "m"


def test_an_expired_handle_in_a_batch(new_queue):
    queue = new_queue(fifo=True, ContentBasedDeduplication="true")
    queue.send("m", MessageGroupId="1")
    handle = queue.one(VisibilityTimeout=1)["ReceiptHandle"]
    eventually(lambda: queue.counts() == (1, 0, 0))
    answer = queue.sqs.delete_message_batch(
        QueueUrl=queue.url, Entries=[{"Id": "a", "ReceiptHandle": handle}]
    )
    (failed,) = answer["Failed"]
    assert failed["Code"] == "InvalidParameterValue"
    assert failed["Message"].endswith("Reason: The receipt handle has expired.")


def test_an_extended_handle_works(new_queue):
    queue = new_queue(fifo=True, ContentBasedDeduplication="true", VisibilityTimeout="1")
    queue.send("m", MessageGroupId="1")
    message = queue.one()
    queue.change(message, 30)
    time.sleep(1.5)
    queue.delete(message)
    assert queue.counts() == (0, 0, 0)


def test_a_delay_of_its_own_is_refused(fifo):
    text = (
        "Value 2 for parameter DelaySeconds is invalid. "
        "Reason: The request include parameter that is not valid for this queue type."
    )
    with refused("InvalidParameterValue", text):
        fifo.send("m", MessageGroupId="1", DelaySeconds=2)


def test_a_delay_of_zero_means_the_queue_s_delay(new_queue):
    queue = new_queue(fifo=True, ContentBasedDeduplication="true", DelaySeconds="1")
    queue.send("m", MessageGroupId="1", DelaySeconds=0)
    assert queue.receive() == []
    assert queue.bodies(wait=5) == ["m"]


def test_the_delay_of_the_queue_keeps_the_order(new_queue):
    queue = new_queue(fifo=True, ContentBasedDeduplication="true", DelaySeconds="1")
    for i in range(3):
        queue.send(f"m{i}", MessageGroupId="1")
    assert queue.receive() == []
    eventually(lambda: queue.counts() == (3, 0, 0))
    assert queue.bodies() == ["m0", "m1", "m2"]


def test_a_delayed_message_does_not_lock_its_group(new_queue):
    """floci #2104: only messages in flight lock; the visible ones before a delayed one flow."""
    queue = new_queue(fifo=True, ContentBasedDeduplication="true")
    queue.send("visible", MessageGroupId="1")
    queue.set(DelaySeconds="900")
    queue.send("delayed", MessageGroupId="1")
    message = queue.one()
    assert message["Body"] == "visible"
    queue.delete(message)
    queue.set(DelaySeconds="0")
    queue.send("after", MessageGroupId="1")
    assert queue.bodies() == ["after"]
    assert queue.counts() == (0, 1, 1)


def test_a_group_is_required(new_queue):
    queue = new_queue(fifo=True)
    with refused("MissingParameter", "The request must contain the parameter MessageGroupId."):
        queue.send("m", MessageDeduplicationId="1")


def test_a_deduplication_id_is_required(new_queue):
    queue = new_queue(fifo=True)
    text = (
        "The queue should either have ContentBasedDeduplication enabled or "
        "MessageDeduplicationId provided explicitly"
    )
    with refused("InvalidParameterValue", text):
        queue.send("m", MessageGroupId="1")


@pytest.mark.parametrize("value", ["", "a" * 129, "group 123", "ü"])
def test_ids_are_checked(careless, new_queue, value):
    queue = new_queue(fifo=True)
    for name in ("MessageDeduplicationId", "MessageGroupId"):
        ids = {"MessageDeduplicationId": "d", "MessageGroupId": "g", name: value}
        text = (
            f"Value {value} for parameter {name} is invalid. Reason: {name} can only include "
            "alphanumeric and punctuation characters. 1 to 128 in length."
        )
        with refused("InvalidParameterValue", text):
            careless.send_message(QueueUrl=queue.url, MessageBody="m", **ids)


def test_the_longest_ids(new_queue):
    queue = new_queue(fifo=True)
    every = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~aZ09".ljust(128, "x")
    queue.send("m", MessageGroupId=every, MessageDeduplicationId=every)
    found = queue.one(AttributeNames=["All"])["Attributes"]
    assert found["MessageGroupId"] == found["MessageDeduplicationId"] == every


def test_many_groups_flow_side_by_side(fifo):
    for batch in range(10):
        fifo.send_batch(
            *({"MessageBody": f"{batch}-{i}", "MessageGroupId": f"g{batch}-{i}"} for i in range(10))
        )
    taken = [m for _ in range(10) for m in fifo.receive(10)]
    assert len({m["Body"] for m in taken}) == 100
