"""TagQueue, UntagQueue, ListQueueTags; AddPermission, RemovePermission."""

import json
import re

import pytest
from clients import ACCOUNT
from conftest import refused


@pytest.fixture()
def tags(sqs):
    """The tags of a queue; None when the answer has no Tags key."""
    return lambda queue: sqs.list_queue_tags(QueueUrl=queue.url).get("Tags")


def test_tags_come_and_go(queue, sqs, tags):
    assert tags(queue) is None
    sqs.tag_queue(QueueUrl=queue.url, Tags={"tag1": "value1", "tag2": "value2", "tag3": ""})
    assert tags(queue) == {"tag1": "value1", "tag2": "value2", "tag3": ""}
    sqs.untag_queue(QueueUrl=queue.url, TagKeys=["tag1", "tag3", "never there"])
    assert tags(queue) == {"tag2": "value2"}
    sqs.untag_queue(QueueUrl=queue.url, TagKeys=["tag2"])
    assert tags(queue) is None


def test_tagging_again_overwrites_and_adds(queue, sqs, tags):
    sqs.tag_queue(QueueUrl=queue.url, Tags={"tag1": "value1", "tag2": "value2"})
    sqs.tag_queue(QueueUrl=queue.url, Tags={"tag1": "VALUE1", "tag3": "value3", "Tag1": "case"})
    assert tags(queue) == {"tag1": "VALUE1", "tag2": "value2", "tag3": "value3", "Tag1": "case"}


def test_create_with_tags(new_queue, tags):
    assert tags(new_queue(tags={"team": "bank", "größe": "ü"})) == {"team": "bank", "größe": "ü"}


def test_fifty_tags_and_no_more(queue, sqs, tags):
    sqs.tag_queue(QueueUrl=queue.url, Tags={f"key{i}": "v" for i in range(50)})
    assert len(tags(queue)) == 50
    with refused("InvalidParameterValue", re.compile("[Tt]ag")):
        sqs.tag_queue(QueueUrl=queue.url, Tags={"one too many": "v"})
    assert len(tags(queue)) == 50


@pytest.mark.parametrize("tag", [{"": "v"}, {"k" * 129: "v"}, {"k": "v" * 257}])
def test_tags_out_of_bounds(queue, sqs, tag):
    with refused("InvalidParameterValue"):
        sqs.tag_queue(QueueUrl=queue.url, Tags=tag)


def policy(queue):
    text = queue.attribute("Policy")
    return text and json.loads(text)


def permission(queue, sqs, label, actions=("ReceiveMessage",), accounts=(ACCOUNT,)):
    sqs.add_permission(QueueUrl=queue.url, Label=label, AWSAccountIds=list(accounts), Actions=list(actions))


def statement(queue, label, principal=f"arn:aws:iam::{ACCOUNT}:root", action="SQS:ReceiveMessage"):
    return {
        "Sid": label,
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": action,
        "Resource": queue.arn,
    }


def test_permissions_build_the_policy(queue, sqs):
    permission(queue, sqs, "first")
    permission(queue, sqs, "second")
    assert policy(queue) == {
        "Version": "2008-10-17",
        "Id": f"{queue.arn}/SQSDefaultPolicy",
        "Statement": [statement(queue, "first"), statement(queue, "second")],
    }
    sqs.remove_permission(QueueUrl=queue.url, Label="first")
    assert policy(queue)["Statement"] == [statement(queue, "second")]
    sqs.remove_permission(QueueUrl=queue.url, Label="second")
    assert policy(queue) is None


def test_permission_of_several_accounts_and_actions(queue, sqs):
    permission(queue, sqs, "many", ["SendMessage", "DeleteMessage"], [ACCOUNT, "668614515564"])
    (made,) = policy(queue)["Statement"]
    assert sorted(made["Principal"]["AWS"]) == [f"arn:aws:iam::{a}:root" for a in (ACCOUNT, "668614515564")]
    assert sorted(made["Action"]) == ["SQS:DeleteMessage", "SQS:SendMessage"]


def test_permission_for_everything(queue, sqs):
    permission(queue, sqs, "all", ["*"])
    (made,) = policy(queue)["Statement"]
    assert made["Action"] == "SQS:*"


def test_a_label_is_used_once(queue, sqs):
    permission(queue, sqs, "label")
    with refused("InvalidParameterValue", "Value label for parameter Label is invalid. Reason: Already exists."):
        permission(queue, sqs, "label")


def test_removing_a_label_that_is_not_there(queue, sqs):
    text = "Value label for parameter Label is invalid. Reason: can't find label."
    with refused("InvalidParameterValue", text):
        sqs.remove_permission(QueueUrl=queue.url, Label="label")


def test_more_than_seven_actions(queue, sqs):
    actions = [
        "SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility",
        "GetQueueAttributes", "GetQueueUrl", "ListDeadLetterSourceQueues", "PurgeQueue",
    ]  # fmt: skip
    with refused("OverLimit", http=403):
        permission(queue, sqs, "many", actions)


@pytest.mark.parametrize("action", ["NoSuchAction", "CreateQueue", ""])
def test_actions_that_cannot_be_granted(queue, sqs, action):
    with refused("InvalidParameterValue", re.compile("ActionName|Action")):
        permission(queue, sqs, "label", [action])


@pytest.mark.parametrize("label", ["", "with space", "x" * 81])
def test_bad_labels(queue, sqs, label):
    with refused("InvalidParameterValue", re.compile("Label")):
        permission(queue, sqs, label)
