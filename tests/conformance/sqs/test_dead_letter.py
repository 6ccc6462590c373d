"""Redrive policies: when a message dies, what it keeps, and who may use a queue as dead-letter queue."""

import json
import re

import pytest
from clients import ACCOUNT, REGION, speaks_json
from conftest import refused

TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


def redrive(dead, count=1):
    return {"deadLetterTargetArn": dead.arn, "maxReceiveCount": count}


@pytest.fixture()
def pair(new_queue):
    """(queue, its dead-letter queue)"""

    def make(count=1, fifo=False, **attributes):
        more = {"ContentBasedDeduplication": "true"} if fifo else {}
        dead = new_queue(fifo=fifo, **more)
        return new_queue(fifo=fifo, RedrivePolicy=redrive(dead, count), **more, **attributes), dead

    return make


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_message_dies_on_the_receive_after_the_last(pair, count):
    queue, dead = pair(count)
    sent = queue.send("m")
    for _ in range(count):
        assert queue.bodies(VisibilityTimeout=0) == ["m"]
    assert queue.counts() == (1, 0, 0), "the last allowed receive does not move it yet"
    assert dead.counts() == (0, 0, 0)
    assert queue.receive() == []
    assert queue.counts() == (0, 0, 0)
    assert dead.one()["MessageId"] == sent["MessageId"]


def test_the_living_are_served_past_the_dead(pair):
    queue, dead = pair(1)
    queue.send_batch("a", "b", "c")
    assert queue.bodies(VisibilityTimeout=0) == ["a", "b", "c"]
    queue.send("d")
    assert queue.bodies(10) == ["d"]
    assert sorted(dead.bodies()) == ["a", "b", "c"]


def test_what_a_dead_message_keeps(pair):
    queue, dead = pair(1)
    attributes = {"MyAttribute": {"StringValue": "foobar", "DataType": "String"}}
    trace = {"AWSTraceHeader": {"StringValue": TRACE, "DataType": "String"}}
    queue.send("m", MessageAttributes=attributes, MessageSystemAttributes=trace)
    every = {"AttributeNames": ["All"], "MessageAttributeNames": ["All"]}
    before = queue.one(VisibilityTimeout=0, **every)
    assert queue.receive() == []
    after = dead.one(**every)
    for kept in ("MessageId", "Body", "MD5OfBody", "MessageAttributes", "MD5OfMessageAttributes"):
        assert after[kept] == before[kept]
    assert after["Attributes"] == {
        **before["Attributes"],
        "ApproximateReceiveCount": "2",
        "DeadLetterQueueSourceArn": queue.arn,
    }


def test_fifo_dead_letters(pair):
    queue, dead = pair(2, fifo=True)
    sent = queue.send("m", MessageGroupId="1")
    for _ in range(2):
        assert queue.bodies(VisibilityTimeout=0) == ["m"]
    assert queue.receive() == []
    message = dead.one(AttributeNames=["All"])
    assert message["MessageId"] == sent["MessageId"]
    found = message["Attributes"]
    assert found["MessageGroupId"] == "1"
    assert found["DeadLetterQueueSourceArn"] == queue.arn
    assert found["MessageDeduplicationId"] == sent["MessageId"], "so that equal ids from two queues do not meet"
    queue.send("next", MessageGroupId="1")
    assert queue.bodies(wait=1) == ["next"], "the group is free"


def test_a_later_policy_applies_to_messages_that_are_there(new_queue):
    queue, dead = new_queue(), new_queue()
    queue.send("m")
    for _ in range(3):
        queue.receive(VisibilityTimeout=0)
    queue.set(RedrivePolicy=json.dumps(redrive(dead, 2)))
    assert queue.receive() == []
    assert dead.bodies() == ["m"]


def test_without_the_policy_nothing_dies(pair):
    queue, dead = pair(1)
    queue.set(RedrivePolicy="")
    assert "RedrivePolicy" not in queue.attributes()
    queue.send("m")
    for _ in range(2):
        assert queue.bodies(VisibilityTimeout=0) == ["m"]
    assert dead.counts() == (0, 0, 0)


def test_the_policy_reads_back(new_queue):
    dead = new_queue()
    queue = new_queue(RedrivePolicy=redrive(dead, 10))
    assert json.loads(queue.attribute("RedrivePolicy")) == redrive(dead, 10)
    queue.set(RedrivePolicy=json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": "42"}))
    assert int(json.loads(queue.attribute("RedrivePolicy"))["maxReceiveCount"]) == 42


def test_a_policy_without_a_count(new_queue):
    """botocore's documentation gives a default of 10; AWS refuses it (recorded)."""
    dead = new_queue()
    missing = "Redrive policy does not contain mandatory attribute: maxReceiveCount."
    for policy in ({"deadLetterTargetArn": dead.arn}, {}):
        with refused("InvalidParameterValue", re.compile(re.escape(missing))):
            new_queue(RedrivePolicy=policy)


def test_a_target_that_is_no_arn(new_queue):
    text = (
        'Value {"deadLetterTargetArn": "dummy", "maxReceiveCount": 42} for parameter RedrivePolicy is invalid. '
        "Reason: Invalid value for deadLetterTargetArn."
    )
    with refused("InvalidParameterValue", text):
        new_queue(RedrivePolicy={"deadLetterTargetArn": "dummy", "maxReceiveCount": 42})


POLICY_IS_INVALID = re.compile("^Value .* for parameter RedrivePolicy is invalid\\. Reason: ", re.S)


@pytest.mark.parametrize(
    "change",
    [
        {"maxReceiveCount": 0},
        {"maxReceiveCount": 1001},
        {"maxReceiveCount": "invalid"},
        {"maxReceiveCount": None},
        {"deadLetterTargetArn": None},
        {"deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:no-such-queue"},
    ],
    ids=repr,
)
def test_policies_that_are_refused(queue, new_queue, change):
    policy = {**redrive(new_queue(), 5), **change}
    policy = {name: value for name, value in policy.items() if value is not None}
    with refused("InvalidParameterValue", POLICY_IS_INVALID):
        queue.set(RedrivePolicy=json.dumps(policy))
    assert queue.attribute("RedrivePolicy") is None


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_a_policy_is_a_json_object(queue, text):
    with refused("InvalidParameterValue", POLICY_IS_INVALID):
        queue.set(RedrivePolicy=text)


def test_the_dead_of_a_fifo_queue_go_to_a_fifo_queue(new_queue):
    standard, fifo = new_queue(), new_queue(fifo=True)
    for queue, dead in ((standard, fifo), (fifo, standard)):
        with refused("InvalidParameterValue", POLICY_IS_INVALID):
            queue.set(RedrivePolicy=json.dumps(redrive(dead)))


def sources(sqs, dead, **more):
    answer = sqs.list_dead_letter_source_queues(QueueUrl=dead.url, **more)
    if not speaks_json(sqs):
        answer.setdefault("queueUrls", [])  # XML cannot tell an empty list from none.
    return answer


def test_sources_of_a_dead_letter_queue(sqs, new_queue):
    dead = new_queue()
    assert sources(sqs, dead)["queueUrls"] == []
    urls = sorted(new_queue(RedrivePolicy=redrive(dead)).url for _ in range(5))
    assert sorted(sources(sqs, dead)["queueUrls"]) == urls
    first = sources(sqs, dead, MaxResults=2)
    assert len(first["queueUrls"]) == 2
    second = sources(sqs, dead, MaxResults=10, NextToken=first["NextToken"])
    assert sorted(first["queueUrls"] + second["queueUrls"]) == urls
    assert "NextToken" not in second


def test_a_source_no_more(sqs, pair):
    queue, dead = pair()
    queue.set(RedrivePolicy="")
    assert sources(sqs, dead)["queueUrls"] == []


def allow(permission, *arns):
    policy = {"redrivePermission": permission}
    if arns:
        policy["sourceQueueArns"] = list(arns)
    return policy


def test_nobody_may_use_this_queue(new_queue):
    dead = new_queue(RedriveAllowPolicy=allow("denyAll"))
    with refused("InvalidParameterValue", POLICY_IS_INVALID):
        new_queue(RedrivePolicy=redrive(dead))


def test_only_these_may_use_this_queue(new_queue):
    friend, stranger = new_queue(), new_queue()
    dead = new_queue(RedriveAllowPolicy=allow("byQueue", friend.arn))
    friend.set(RedrivePolicy=json.dumps(redrive(dead)))
    with refused("InvalidParameterValue", POLICY_IS_INVALID):
        stranger.set(RedrivePolicy=json.dumps(redrive(dead)))
    dead.set(RedriveAllowPolicy=json.dumps(allow("allowAll")))
    stranger.set(RedrivePolicy=json.dumps(redrive(dead)))


def test_the_allow_policy_reads_back_and_is_cleared(queue):
    queue.set(RedriveAllowPolicy=json.dumps(allow("byQueue", queue.arn)))
    assert json.loads(queue.attribute("RedriveAllowPolicy")) == allow("byQueue", queue.arn)
    queue.set(RedriveAllowPolicy="")
    assert queue.attribute("RedriveAllowPolicy") is None


@pytest.mark.parametrize(
    "policy",
    [
        {"redrivePermission": "some"},
        {"redrivePermission": "byQueue"},
        {"redrivePermission": "allowAll", "sourceQueueArns": [f"arn:aws:sqs:{REGION}:{ACCOUNT}:a"]},
        allow("byQueue", *(f"arn:aws:sqs:{REGION}:{ACCOUNT}:q{i}" for i in range(11))),
        allow("byQueue", "not an arn"),
        {},
    ],
    ids=lambda policy: repr(policy)[:50],
)
def test_allow_policies_that_are_refused(queue, policy):
    with refused("InvalidParameterValue", re.compile("RedriveAllowPolicy")):
        queue.set(RedriveAllowPolicy=json.dumps(policy))


def test_a_chain_of_dead_letter_queues(new_queue):
    last = new_queue()
    middle = new_queue(RedrivePolicy=redrive(last))
    first = new_queue(RedrivePolicy=redrive(middle))
    first.send("m")
    for queue in (first, middle):
        assert queue.bodies(VisibilityTimeout=0) in (["m"], [])
        assert queue.receive() == []
    assert last.one(AttributeNames=["All"])["Attributes"]["DeadLetterQueueSourceArn"] == middle.arn


def test_a_deleted_dead_letter_queue_loses_nothing(pair, sqs):
    queue, dead = pair(1)
    queue.send("m")
    queue.one(VisibilityTimeout=0)
    sqs.delete_queue(QueueUrl=dead.url)
    assert queue.bodies(VisibilityTimeout=0) == ["m"], "it stays where it is"
