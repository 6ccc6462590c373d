"""Settings that AWS does not have, set by an unmodified client as attributes with a prefix."""

import json
import re

import pytest
from conftest import eventually, refused

FIXED = {"backoff": {"kind": "fixed", "delay_ms": 1500}, "max_attempts": 2}


def test_a_retry_policy_at_work(new_queue):
    dead = new_queue()
    rule = {"deadLetterTargetArn": dead.arn, "maxReceiveCount": 10}
    queue = new_queue(RedrivePolicy=rule, **{"kyu:RetryPolicy": FIXED})
    queue.send("job")
    # A failed attempt: given back at once, and yet it waits as the policy says.
    queue.change(queue.one(), 0)
    assert queue.receive() == []
    assert queue.counts() == (0, 0, 1)
    again = queue.one(AttributeNames=["All"])
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"
    # The second failure is the last, whatever the redrive policy would allow.
    queue.change(again, 0)
    assert eventually(dead.receive)[0]["Body"] == "job"


@pytest.mark.parametrize("value", [json.dumps(FIXED), "backoff.kind=fixed backoff.delay_ms=1500 max_attempts=2"])
def test_values_are_json_or_pairs_and_are_shown_when_set(new_queue, value):
    queue = new_queue()
    assert not [name for name in queue.attributes() if name.startswith("kyu:")]
    queue.set(**{"kyu:RetryPolicy": value})
    shown = {name: text for name, text in queue.attributes().items() if name.startswith("kyu:")}
    assert list(shown) == ["kyu:RetryPolicy"]
    assert json.loads(shown["kyu:RetryPolicy"]) == {**FIXED, "jitter_percent": 0}
    queue.set(**{"kyu:RetryPolicy": ""})
    assert queue.attribute("kyu:RetryPolicy") is None


def test_a_limit_per_tenant(new_queue):
    queue = new_queue(**{"kyu:Lanes": "max_in_flight=1"})
    for body in ("a1", "a2", "b1"):
        queue.send(body, MessageGroupId=body[0])
    assert sorted(queue.bodies()) == ["a1", "b1"]


def test_tags_of_these_names_for_tools_that_can_only_tag(new_queue):
    queue = new_queue(tags={"kyu:Lanes": "max_in_flight=1"})
    for body in ("a1", "a2"):
        queue.send(body, MessageGroupId="a")
    assert queue.bodies() == ["a1"]
    queue.sqs.untag_queue(QueueUrl=queue.url, TagKeys=["kyu:Lanes"])
    assert queue.bodies(wait=5) == ["a2"]


def test_what_is_wrong_is_refused_as_aws_would(queue):
    with refused("InvalidAttributeName", "Unknown Attribute kyu:Nope."):
        queue.set(**{"kyu:Nope": "1"})
    with refused("InvalidAttributeValue", re.compile("^Invalid value for the parameter kyu:RetryPolicy")):
        queue.set(**{"kyu:RetryPolicy": "often"})
