"""Delays, and the three counts that move with every change (exact here, approximate at AWS)."""

import re

import pytest
from conftest import eventually, refused


def test_a_delayed_message_comes_when_it_is_due(queue):
    queue.send(DelaySeconds=1)
    assert queue.receive() == []
    assert queue.counts() == (0, 0, 1)
    queue.one()
    assert queue.counts() == (0, 1, 0)


def test_the_delay_of_the_queue(new_queue):
    queue = new_queue(DelaySeconds="1")
    queue.send("default")
    queue.send("own", DelaySeconds=0)
    assert queue.bodies() == ["own"]
    assert queue.bodies(wait=5) == ["default"]


def test_a_later_change_of_the_delay_is_for_new_messages(new_queue):
    queue = new_queue(DelaySeconds="900")
    queue.send("far")
    queue.set(DelaySeconds="0")
    queue.send("now")
    assert queue.bodies() == ["now"]
    assert queue.counts() == (0, 1, 1)


@pytest.mark.parametrize("seconds", [-1, 901])
def test_delays_out_of_range(queue, seconds):
    text = f"Value {seconds} for parameter DelaySeconds is invalid. Reason: "
    with refused("InvalidParameterValue", re.compile("^" + re.escape(text))):
        queue.send(DelaySeconds=seconds)


def test_many_far_messages_do_not_hide_a_near_one(queue):
    for _ in range(20):
        queue.send_batch(*({"MessageBody": "far", "DelaySeconds": 900} for _ in range(10)))
    queue.send("near")
    assert queue.bodies() == ["near"]
    assert queue.counts() == (0, 1, 200)


def test_counts_follow_every_step(queue):
    assert queue.counts() == (0, 0, 0)
    queue.send_batch("a", "b", "c", {"MessageBody": "d", "DelaySeconds": 1})
    assert queue.counts() == (3, 0, 1)
    first, second = queue.receive(2, VisibilityTimeout=1)
    assert queue.counts()[1] == 2
    queue.delete(first)
    queue.change(second, 30)
    assert queue.counts()[1] == 1
    eventually(lambda: queue.counts() == (2, 1, 0))
    queue.change(second, 0)
    assert queue.counts() == (3, 0, 0)
    queue.receive(10, VisibilityTimeout=1)
    assert queue.counts() == (0, 3, 0)
    eventually(lambda: queue.counts() == (3, 0, 0))


def test_fifo_members_count_as_hidden_only_when_received(fifo):
    for i in range(6):
        fifo.send(f"m{i}", MessageGroupId=str(i // 2))
    first, second = fifo.one(VisibilityTimeout=1), fifo.one(VisibilityTimeout=1)
    assert [first["Body"], second["Body"]] == ["m0", "m2"]
    assert fifo.counts() == (4, 2, 0)
    eventually(lambda: fifo.counts() == (6, 0, 0))


def test_fifo_counts_after_deletes(fifo):
    for i, group in enumerate("11123"):
        fifo.send(f"m{i}", MessageGroupId=group)
    for message in fifo.receive(4):
        fifo.delete(message)
    assert fifo.counts() == (1, 0, 0)
