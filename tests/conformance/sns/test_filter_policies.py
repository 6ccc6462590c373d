"""Filter policies, both scopes. Texts and outcomes as AWS gave them to LocalStack's validated tests."""

import json
import re

import pytest
from conftest import Queue, refused, subscribe


def text(value):
    return {"DataType": "String", "StringValue": value}


@pytest.mark.parametrize(
    ("policy", "wanted", "unwanted"),
    [
        ({"k": ["a"]}, text("a"), text("b")),
        ({"k": [{"prefix": "a"}]}, text("ab"), text("ba")),
        ({"k": [{"suffix": "a"}]}, text("ba"), text("ab")),
        ({"k": [{"equals-ignore-case": "Ab"}]}, text("aB"), text("b")),
        ({"k": [{"anything-but": ["a", "b"]}]}, text("c"), text("a")),
        ({"k": [{"anything-but": {"prefix": "a"}}]}, text("b"), text("ab")),
        ({"k": [{"numeric": [">", 0, "<=", 100]}]}, {"DataType": "Number", "StringValue": "99"}, text("99")),
        ({"k": [{"cidr": "10.0.0.0/24"}]}, text("10.0.0.7"), text("10.0.1.7")),
        ({"k": ["a"]}, {"DataType": "String.Array", "StringValue": '["x","a"]'}, text('["x","a"]')),
        ({"$or": [{"k": ["a"]}, {"l": ["a"]}]}, text("a"), text("b")),
    ],
)
def test_operators_on_attributes(sns, topic, queue, policy, wanted, unwanted):
    subscribe(sns, topic, queue, FilterPolicy=policy, RawMessageDelivery="true")
    sns.publish(TopicArn=topic, Message="wanted", MessageAttributes={"k": wanted})
    sns.publish(TopicArn=topic, Message="unwanted", MessageAttributes={"k": unwanted})
    sns.publish(TopicArn=topic, Message="absent")
    assert queue.bodies() == ["wanted"]


def test_exists(sns, sqs, topic, queue):
    without = Queue(sqs)
    subscribe(sns, topic, queue, FilterPolicy={"k": [{"exists": True}]}, RawMessageDelivery="true")
    subscribe(sns, topic, without, FilterPolicy={"k": [{"exists": False}]}, RawMessageDelivery="true")
    sns.publish(TopicArn=topic, Message="there", MessageAttributes={"k": text("x")})
    sns.publish(TopicArn=topic, Message="not there", MessageAttributes={"l": text("x")})
    assert (queue.bodies(), without.bodies()) == (["there"], ["not there"])


def test_bodies_of_storage_events(sns, topic, queue):
    """Arrays of objects, and arrays of arrays, count as their elements (recorded)."""
    policy = {"Records": {"s3": {"object": {"key": [{"prefix": "auto-"}]}}, "eventName": [{"prefix": "ObjectCreated:"}]}}
    subscribe(sns, topic, queue, FilterPolicy=policy, FilterPolicyScope="MessageBody", RawMessageDelivery="true")

    def event(key, name):
        return {"eventName": name, "s3": {"object": key}}

    created = {"Records": [event({"key": "auto-1"}, "ObjectCreated:Put")]}
    nested = {"Records": [event([[{"key": "auto-1"}]], "ObjectCreated:Put"), event({"key": "home"}, "ObjectRemoved:X")]}
    removed = {"Records": [event({"key": "auto-1"}, "ObjectRemoved:Delete")]}
    home = {"Records": [event({"key": "home-1"}, "ObjectCreated:Put")]}
    for body in (nested, removed, home, created):
        sns.publish(TopicArn=topic, Message=json.dumps(body))
    sns.publish(TopicArn=topic, Message="no JSON")
    assert [json.loads(body) for body in queue.bodies()] == [nested, created]


def test_dots_in_names(sns, topic, queue):
    """A dot in a name and a step down are the same (recorded)."""
    policy = {"object.nested.test": ["v"]}
    subscribe(sns, topic, queue, FilterPolicy=policy, FilterPolicyScope="MessageBody", RawMessageDelivery="true")
    bodies = [
        {"object": {"nested": {"test": "v"}}},
        {"object.nested.test": "v"},
        {"object.nested": {"test": "v"}},
        {"object": {"nested.test": "v"}},
        {"object": {"nested": {"test": "w"}}},
    ]
    for body in bodies:
        sns.publish(TopicArn=topic, Message=json.dumps(body))
    assert [json.loads(body) for body in queue.bodies()] == bodies[:4]


def test_absent_from_one_element_of_a_list(sns, topic, queue):
    """What is absent is asked of the element the other rules chose, not of the whole body."""
    policy = {"items": {"kind": ["a"], "note": [{"exists": False}]}}
    subscribe(sns, topic, queue, FilterPolicy=policy, FilterPolicyScope="MessageBody", RawMessageDelivery="true")
    noted, plain = {"kind": "a", "note": "x"}, {"kind": "a"}
    wanted = [{"items": [noted, plain]}, {"items": [{"kind": "b", "note": "x"}, plain]}]
    for body in [{"items": [noted, {"kind": "b"}]}, *wanted, {"items": []}]:
        sns.publish(TopicArn=topic, Message=json.dumps(body))
    assert [json.loads(body) for body in queue.bodies()] == wanted


@pytest.mark.parametrize(
    ("policy", "problem", "column"),
    [
        ({"key": [["value"]]}, "Match value must be String, number, true, false, or null", 10),
        ({"key": [{"wrong-operator": True}]}, "Unrecognized match type wrong-operator", 31),
        ({"key": [{"numeric": [">", 3, "<", 1]}]}, "Bottom must be less than top", 33),
        ({"key": [f"value{i}" for i in range(151)]}, "Filter policy is too complex", None),
        ({f"key{i}": ["v"] for i in range(6)}, "Filter policy can not have more than 5 keys", None),
    ],
)
def test_wrong_policies(sns, topic, queue, policy, problem, column):
    """With the place in the JSON, which is read without spaces (recorded)."""
    message = f"Invalid parameter: Attributes Reason: FilterPolicy: {problem}"
    if column:
        source = json.dumps(policy, separators=(",", ":"))
        message += f'\n at [Source: (String)"{source}"; line: 1, column: {column}]'
    refused("InvalidParameter", 400, re.escape(message), subscribe, sns, topic, queue, FilterPolicy=policy)


def test_an_empty_policy_takes_it_away(sns, topic, queue):
    """As the developer guide removes policies, and Terraform does."""
    arn = subscribe(sns, topic, queue, FilterPolicy={"k": ["a"]}, RawMessageDelivery="true")
    sns.publish(TopicArn=topic, Message="no")
    sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="FilterPolicy", AttributeValue="{}")
    sns.publish(TopicArn=topic, Message="yes")
    assert queue.bodies() == ["yes"]
