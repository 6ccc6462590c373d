"""StartMessageMoveTask, ListMessageMoveTasks, CancelMessageMoveTask."""

import re

import pytest
from clients import ACCOUNT, REGION
from conftest import eventually, refused

NO_SOURCE = "The resource that you specified for the SourceArn parameter doesn't exist."


@pytest.fixture()
def dying(new_queue):
    """Makes (queue, dead-letter queue) with `count` dead messages."""

    def make(count, fifo=False):
        more = {"ContentBasedDeduplication": "true"} if fifo else {}
        dead = new_queue(fifo=fifo, **more)
        policy = {"deadLetterTargetArn": dead.arn, "maxReceiveCount": 1}
        queue = new_queue(fifo=fifo, RedrivePolicy=policy, **more)
        bury(queue, count)
        assert dead.counts() == (count, 0, 0)
        return queue, dead

    return make


def bury(queue, count):
    for i in range(count):
        group = {"MessageGroupId": f"g{i}"} if queue.url.endswith(".fifo") else {}
        queue.send(f"message-{i}", **group)
        queue.one(VisibilityTimeout=0)
        assert queue.receive() == []


@pytest.fixture()
def tasks(sqs):
    return lambda dead, **more: sqs.list_message_move_tasks(SourceArn=dead.arn, **more).get("Results", [])


def status(tasks, dead, wanted):
    """The newest task, once it has the wanted status."""
    return eventually(lambda: next((t for t in tasks(dead)[:1] if t["Status"] == wanted), None), 15)


def test_move_to_a_queue(sqs, dying, new_queue, tasks):
    _, dead = dying(2)
    target = new_queue()
    handle = sqs.start_message_move_task(SourceArn=dead.arn, DestinationArn=target.arn)["TaskHandle"]
    assert handle
    done = status(tasks, dead, "COMPLETED")
    started = done.pop("StartedTimestamp")
    assert isinstance(started, int) and started > 1_600_000_000_000, "milliseconds"
    assert done == {
        "Status": "COMPLETED",
        "SourceArn": dead.arn,
        "DestinationArn": target.arn,
        "ApproximateNumberOfMessagesMoved": 2,
        "ApproximateNumberOfMessagesToMove": 2,
    }
    assert sorted(target.bodies()) == ["message-0", "message-1"]
    assert dead.counts() == (0, 0, 0)


def test_the_default_destination_is_where_each_message_came_from(sqs, dying, new_queue, tasks):
    first, dead = dying(2)
    second = new_queue(RedrivePolicy={"deadLetterTargetArn": dead.arn, "maxReceiveCount": 1})
    bury(second, 2)
    sqs.start_message_move_task(SourceArn=dead.arn)
    done = status(tasks, dead, "COMPLETED")
    assert done["ApproximateNumberOfMessagesMoved"] == 4
    assert "DestinationArn" not in done
    assert sorted(first.bodies()) == sorted(second.bodies()) == ["message-0", "message-1"]


def test_a_moved_message_starts_a_new_life(sqs, dying, tasks):
    queue, dead = dying(1)
    sqs.start_message_move_task(SourceArn=dead.arn)
    status(tasks, dead, "COMPLETED")
    found = queue.one(AttributeNames=["All"], VisibilityTimeout=0)["Attributes"]
    assert found["ApproximateReceiveCount"] == "1"
    assert "DeadLetterQueueSourceArn" not in found
    assert queue.receive() == [], "and it can die again"
    assert dead.counts() == (1, 0, 0)


def test_fifo_messages_move(sqs, dying, tasks):
    queue, dead = dying(3, fifo=True)
    sqs.start_message_move_task(SourceArn=dead.arn)
    status(tasks, dead, "COMPLETED")
    assert queue.bodies() == ["message-0", "message-1", "message-2"]


def test_the_rate_is_kept_and_the_task_runs_beside(sqs, dying, new_queue, tasks):
    """Asynchronous: at one a second the answer comes long before the work is done."""
    _, dead = dying(3)
    target = new_queue()
    handle = sqs.start_message_move_task(
        SourceArn=dead.arn, DestinationArn=target.arn, MaxNumberOfMessagesPerSecond=1
    )["TaskHandle"]
    (running,) = tasks(dead)
    assert running["Status"] == "RUNNING"
    assert running["TaskHandle"] == handle
    assert running["MaxNumberOfMessagesPerSecond"] == 1
    assert running["ApproximateNumberOfMessagesToMove"] == 3
    assert target.counts()[0] < 3
    done = status(tasks, dead, "COMPLETED")
    assert done["ApproximateNumberOfMessagesMoved"] == 3
    assert "TaskHandle" not in done
    assert sorted(target.bodies()) == ["message-0", "message-1", "message-2"]


def test_cancel(sqs, dying, new_queue, tasks):
    _, dead = dying(10)
    target = new_queue()
    handle = sqs.start_message_move_task(
        SourceArn=dead.arn, DestinationArn=target.arn, MaxNumberOfMessagesPerSecond=1
    )["TaskHandle"]
    eventually(lambda: target.counts()[0] >= 1)
    moved = sqs.cancel_message_move_task(TaskHandle=handle)["ApproximateNumberOfMessagesMoved"]
    assert 0 <= moved < 10
    done = status(tasks, dead, "CANCELLED")
    assert "TaskHandle" not in done
    assert done["ApproximateNumberOfMessagesMoved"] < 10
    assert dead.counts()[0] + target.counts()[0] == 10, "nothing is lost between the two"
    with refused("ResourceNotFoundException", http=404):
        sqs.cancel_message_move_task(TaskHandle=handle)


def test_one_task_a_source_at_a_time(sqs, dying, new_queue):
    _, dead = dying(5)
    target = new_queue()
    start = {"SourceArn": dead.arn, "DestinationArn": target.arn, "MaxNumberOfMessagesPerSecond": 1}
    sqs.start_message_move_task(**start)
    text = (
        "There is already a task running. Only one active task is allowed for a source queue arn at a given time."
    )
    with refused("InvalidParameterValue", text):
        sqs.start_message_move_task(**start)


def test_the_destination_goes_away(sqs, dying, new_queue, tasks):
    _, dead = dying(5)
    target = new_queue()
    sqs.start_message_move_task(SourceArn=dead.arn, DestinationArn=target.arn, MaxNumberOfMessagesPerSecond=1)
    sqs.delete_queue(QueueUrl=target.url)
    failed = status(tasks, dead, "FAILED")
    assert failed["FailureReason"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert dead.receive(), "the rest is still there"


def test_the_source_must_be_a_dead_letter_queue(sqs, new_queue):
    plain, target = new_queue(), new_queue()
    with refused("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue."):
        sqs.start_message_move_task(SourceArn=plain.arn, DestinationArn=target.arn)


def test_queues_that_do_not_exist(sqs, dying):
    _, dead = dying(0)
    text = "The resource that you specified for the DestinationArn parameter doesn't exist."
    with refused("ResourceNotFoundException", text, http=404):
        sqs.start_message_move_task(SourceArn=dead.arn, DestinationArn=dead.arn + "doesntexist")
    missing = f"arn:aws:sqs:{REGION}:{ACCOUNT}:no-such-queue"
    with refused("ResourceNotFoundException", NO_SOURCE, http=404):
        sqs.start_message_move_task(SourceArn=missing)
    with refused("ResourceNotFoundException", NO_SOURCE, http=404):
        sqs.list_message_move_tasks(SourceArn=missing)


@pytest.mark.parametrize("rate", [0, -1, 501])
def test_rates_out_of_range(sqs, dying, rate):
    _, dead = dying(0)
    with refused("InvalidParameterValue", re.compile("MaxNumberOfMessagesPerSecond")):
        sqs.start_message_move_task(SourceArn=dead.arn, MaxNumberOfMessagesPerSecond=rate)


def test_the_newest_comes_first_and_one_unless_asked(sqs, dying, tasks):
    _, dead = dying(0)
    for _ in range(3):
        sqs.start_message_move_task(SourceArn=dead.arn)
        status(tasks, dead, "COMPLETED")
    assert len(tasks(dead)) == 1
    every = tasks(dead, MaxResults=10)
    assert len(every) == 3
    started = [task["StartedTimestamp"] for task in every]
    assert started == sorted(started, reverse=True)


@pytest.mark.parametrize("count", [0, 11])
def test_how_many_can_be_listed(sqs, dying, count):
    _, dead = dying(0)
    with refused("InvalidParameterValue", re.compile("MaxResults")):
        sqs.list_message_move_tasks(SourceArn=dead.arn, MaxResults=count)


def test_handles_that_are_none(sqs):
    with refused("InvalidParameterValue", "Value for parameter TaskHandle is invalid."):
        sqs.cancel_message_move_task(TaskHandle="foobared")


def test_a_handle_of_a_queue_that_is_gone(sqs, dying, new_queue):
    _, dead = dying(3)
    handle = sqs.start_message_move_task(
        SourceArn=dead.arn, DestinationArn=new_queue().arn, MaxNumberOfMessagesPerSecond=1
    )["TaskHandle"]
    sqs.delete_queue(QueueUrl=dead.url)
    with refused("ResourceNotFoundException", NO_SOURCE, http=404):
        sqs.cancel_message_move_task(TaskHandle=handle)
