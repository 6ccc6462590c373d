"""Long polling: what wakes a waiter, and who among several is woken.

The waits allowed here are generous; what is asserted is the order of events, not speed: a waiter
that asked for 20 seconds and is answered at all before 10 seconds was woken, not timed out.
"""

import concurrent.futures
import json
import socket
import time

import pytest
from conftest import eventually

LONG = 20
WOKEN = 10


@pytest.fixture()
def background():
    """Runs calls beside the test."""
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        yield pool.submit


def waiting(background, queue, **more):
    """A long poll that has surely reached the server: the server answers in order of arrival."""
    poll = background(queue.receive, wait=LONG, **more)
    time.sleep(0.3)
    assert not poll.done()
    return poll


def woken(poll):
    (message,) = poll.result(WOKEN)
    return message


def test_a_new_message_wakes(queue, background):
    poll = waiting(background, queue)
    queue.send("new")
    assert woken(poll)["Body"] == "new"


def test_a_batch_wakes(queue, background):
    poll = waiting(background, queue, count=10)
    queue.send_batch("a", "b", "c")
    assert poll.result(WOKEN)


def test_a_lapsed_visibility_wakes(queue, background):
    queue.send("back")
    queue.receive(VisibilityTimeout=1)
    assert woken(waiting(background, queue))["Body"] == "back"


def test_a_change_to_zero_wakes(queue, background):
    queue.send("back")
    message = queue.one()
    poll = waiting(background, queue)
    queue.change(message, 0)
    assert woken(poll)["Body"] == "back"


def test_the_end_of_a_delay_wakes(queue, background):
    queue.send("late", DelaySeconds=1)
    assert woken(waiting(background, queue))["Body"] == "late"


def test_a_free_group_wakes(fifo, background):
    fifo.send("first", MessageGroupId="g")
    first = fifo.one()
    fifo.send("second", MessageGroupId="g")
    poll = waiting(background, fifo)
    fifo.delete(first)
    assert woken(poll)["Body"] == "second"


def test_a_move_to_the_dead_letter_queue_wakes(new_queue, background):
    dead = new_queue()
    queue = new_queue(RedrivePolicy={"deadLetterTargetArn": dead.arn, "maxReceiveCount": 1})
    queue.send("dying")
    queue.one(VisibilityTimeout=0)
    poll = waiting(background, dead)
    queue.receive()
    assert woken(poll)["Body"] == "dying"


def test_the_wait_of_the_queue_is_the_default(new_queue, background):
    queue = new_queue(ReceiveMessageWaitTimeSeconds=str(LONG))
    poll = background(queue.sqs.receive_message, QueueUrl=queue.url)
    time.sleep(0.3)
    assert not poll.done()
    queue.send("new")
    assert poll.result(WOKEN)["Messages"][0]["Body"] == "new"


def test_a_wait_of_zero_overrides_the_queue(new_queue, background):
    queue = new_queue(ReceiveMessageWaitTimeSeconds=str(LONG))
    assert background(queue.receive, wait=0).result(WOKEN) == []


def test_an_empty_wait_ends(queue):
    started = time.monotonic()
    assert queue.receive(wait=1) == []
    assert time.monotonic() - started >= 0.95


def test_a_waiter_takes_what_is_there(queue, background):
    queue.send_batch("a", "b")
    assert len(background(queue.receive, 10, LONG).result(WOKEN)) == 2


def test_one_message_wakes_one_waiter(queue, background):
    polls = [waiting(background, queue) for _ in range(3)]
    queue.send("one")
    done, _ = concurrent.futures.wait(polls, WOKEN, concurrent.futures.FIRST_COMPLETED)
    time.sleep(0.3)
    assert [poll.done() for poll in polls].count(True) == len(done) == 1
    queue.send_batch("two", "three")
    concurrent.futures.wait(polls, WOKEN)
    assert sorted(woken(poll)["Body"] for poll in polls) == ["one", "three", "two"]


def test_waiters_are_served_in_the_order_they_came(queue, background):
    first = waiting(background, queue)
    second = waiting(background, queue)
    queue.send("for the first")
    assert woken(first)["Body"] == "for the first"
    assert not second.done()
    third = waiting(background, queue)
    queue.send("for the second")
    assert woken(second)["Body"] == "for the second"
    assert not third.done()
    queue.send("for the third")
    assert woken(third)["Body"] == "for the third"


def test_a_waiter_on_another_queue_is_left_alone(queue, new_queue, background):
    elsewhere = new_queue()
    poll = waiting(background, elsewhere)
    queue.send()
    queue.one()
    assert not poll.done()
    elsewhere.send("end")
    woken(poll)


def test_a_waiter_that_hung_up_takes_nothing(queue, server):
    """A message must not be leased to a connection that is gone."""
    body = json.dumps({"QueueUrl": queue.url, "WaitTimeSeconds": LONG}).encode()
    head = (
        f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\n"
        f"Content-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(server.address) as gone:
        gone.sendall(head.encode() + body)
        time.sleep(0.3)
    time.sleep(0.3)
    queue.send("for the living")
    assert queue.one(wait=0)["Body"] == "for the living"


def test_a_purge_and_a_delete_of_the_queue_do_not_hang_waiters(new_queue, background, sqs):
    queue = new_queue()
    poll = waiting(background, queue)
    sqs.delete_queue(QueueUrl=queue.url)
    eventually(poll.done, LONG + 5)
    # AWS ends such a poll with no messages or with NonExistentQueue; both tell the client.
    error = poll.exception()
    assert error is None and poll.result() == [] or "NonExistentQueue" in str(error)
