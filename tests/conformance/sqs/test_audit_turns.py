"""Whose turn it is in a FIFO queue, and which receipts move a deadline: orders recorded from AWS
(and one that is not obeyed)."""

import time

import pytest
from conftest import refused


def send(fifo, *bodies):
    """`g1-m2` is message 2 of group g1."""
    for body in bodies:
        fifo.send(body, MessageGroupId=body.split("-")[0])


def test_groups_received_for_no_time_go_behind_the_others(fifo):
    send(fifo, "g1-m1", "g2-m1", "g2-m2", "g3-m1", "g1-m2")
    assert fifo.bodies(3, VisibilityTimeout=0) == ["g1-m1", "g1-m2", "g2-m1"]
    assert fifo.bodies(10, VisibilityTimeout=0) == ["g3-m1", "g1-m1", "g1-m2", "g2-m1", "g2-m2"]


@pytest.mark.parametrize("timeout", [0, 1])
def test_a_group_that_comes_back_goes_behind_the_others(fifo, timeout):
    send(fifo, "g1-m1", "g1-m2", "g2-m1")
    first, _ = fifo.receive(2)
    fifo.change(first, timeout)
    time.sleep(timeout * 1.5)
    assert fifo.bodies(3) == ["g2-m1", "g1-m1"]


def test_a_group_whose_timeout_has_passed_goes_behind_the_others(new_queue):
    fifo = new_queue(fifo=True, ContentBasedDeduplication="true", VisibilityTimeout="1")
    send(fifo, "g1-m1", "g1-m2", "g1-m3", "g2-m1", "g3-m1")
    assert fifo.bodies(2) == ["g1-m1", "g1-m2"]
    assert fifo.bodies(1) == ["g2-m1"]
    time.sleep(1.5)
    groups = [["g1-m1", "g1-m2", "g1-m3"], ["g2-m1"]]
    orders = [["g3-m1", *groups[0], *groups[1]], ["g3-m1", *groups[1], *groups[0]]]
    assert fifo.bodies(10, VisibilityTimeout=0) in orders, "AWS has shown the first of them"


def test_a_group_whose_received_messages_are_deleted_keeps_its_turn(fifo):
    send(fifo, "g1-m1", "g2-m1", "g1-m2", "g2-m2", "g1-m3", "g3-m1")
    for message in fifo.receive(2):
        fifo.delete(message)
    assert fifo.bodies(10) == ["g2-m1", "g2-m2", "g1-m3", "g3-m1"]


def test_an_earlier_receipt_does_not_end_the_timeout_on_a_standard_queue(queue):
    """Not as AWS has it, which was recorded to show the message: a worker that stalled would hand
    what another works on to a third."""
    queue.send("hello")
    earlier = queue.one(VisibilityTimeout=0)
    assert queue.bodies(VisibilityTimeout=30) == ["hello"]
    queue.change(earlier, 0)
    assert queue.bodies(wait=1) == []


def test_a_message_is_hidden_again_after_its_timeout_has_passed(new_queue):
    queue = new_queue(VisibilityTimeout="1")
    queue.send("hello")
    message = queue.one()
    for _ in range(2):
        time.sleep(1.2)
        assert queue.counts() == (1, 0, 0)
        queue.change(message, 1)
        assert queue.counts() == (0, 1, 0)
    assert queue.bodies(wait=5) == ["hello"]


@pytest.mark.json_protocol
def test_empty_lists_of_tags_and_permissions(queue, careless):
    with refused("InvalidParameterValue", "Tag keys must be between 1 and 128 characters in length."):
        careless.untag_queue(QueueUrl=queue.url, TagKeys=[])
    with refused("InvalidParameterValue", f"Too many tags added for queue {queue.name}."):
        careless.tag_queue(QueueUrl=queue.url, Tags={f"key{n}": "v" for n in range(51)})
    grant = {"QueueUrl": queue.url, "Label": "label", "AWSAccountIds": ["111111111111"]}
    with refused("MissingParameter", "The request must contain the parameter Actions."):
        careless.add_permission(**grant, Actions=[])
    with refused("InvalidParameterValue", "Value [] for parameter PrincipalId is invalid. Reason: Unable to verify."):
        careless.add_permission(**{**grant, "AWSAccountIds": []}, Actions=["SendMessage"])
