"""Queue attributes: defaults, changes, limits, and what each refuses."""

import json
import re
import time

import pytest
from clients import ACCOUNT, REGION
from conftest import refused, unique

COMMON = {
    "ApproximateNumberOfMessages": "0",
    "ApproximateNumberOfMessagesDelayed": "0",
    "ApproximateNumberOfMessagesNotVisible": "0",
    "DelaySeconds": "0",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "SqsManagedSseEnabled": "true",
    "VisibilityTimeout": "30",
}
FIFO = {
    "FifoQueue": "true",
    "ContentBasedDeduplication": "false",
    "DeduplicationScope": "queue",
    "FifoThroughputLimit": "perQueue",
}


def without_times(attributes):
    found = dict(attributes)
    for name in ("CreatedTimestamp", "LastModifiedTimestamp"):
        assert abs(int(found.pop(name)) - time.time()) < 60
    return found


def arn(queue):
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue.name}"


def test_defaults_of_a_standard_queue(queue):
    assert without_times(queue.attributes("All")) == {**COMMON, "QueueArn": arn(queue)}


def test_defaults_of_a_fifo_queue(new_queue):
    queue = new_queue(fifo=True)
    assert without_times(queue.attributes("All")) == {**COMMON, **FIFO, "QueueArn": arn(queue)}


def test_only_the_asked_attributes(queue):
    assert set(queue.attributes("QueueArn", "VisibilityTimeout")) == {"QueueArn", "VisibilityTimeout"}


def test_none_asked_none_given(queue, sqs):
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=queue.url)


def test_asking_for_an_unknown_attribute(queue):
    with refused("InvalidAttributeName", "Unknown Attribute Foobar."):
        queue.attributes("Foobar")


def test_create_and_set(new_queue):
    queue = new_queue(MessageRetentionPeriod="604800", ReceiveMessageWaitTimeSeconds="10", VisibilityTimeout="20")
    queue.set(MaximumMessageSize="2048", VisibilityTimeout="69", DelaySeconds="420")
    assert without_times(queue.attributes()) == {
        **COMMON,
        "QueueArn": arn(queue),
        "MessageRetentionPeriod": "604800",
        "ReceiveMessageWaitTimeSeconds": "10",
        "MaximumMessageSize": "2048",
        "VisibilityTimeout": "69",
        "DelaySeconds": "420",
    }


def test_set_moves_the_modified_time_only(queue):
    created = queue.attributes("CreatedTimestamp", "LastModifiedTimestamp")
    time.sleep(1.1)  # The timestamps have whole seconds.
    queue.set(DelaySeconds="1")
    after = queue.attributes("CreatedTimestamp", "LastModifiedTimestamp")
    assert after["CreatedTimestamp"] == created["CreatedTimestamp"]
    assert int(after["LastModifiedTimestamp"]) > int(created["LastModifiedTimestamp"])


RANGES = [
    ("VisibilityTimeout", 0, 43200),
    ("MaximumMessageSize", 1024, 1048576),
    ("MessageRetentionPeriod", 60, 1209600),
    ("DelaySeconds", 0, 900),
    ("ReceiveMessageWaitTimeSeconds", 0, 20),
]


@pytest.mark.parametrize(("name", "low", "high"), RANGES)
def test_ranges(queue, new_queue, name, low, high):
    for value in (low, high):
        queue.set(**{name: str(value)})
        assert queue.attribute(name) == str(value)
    for value in (low - 1, high + 1, "many", "", "1.5"):
        text = re.compile(f"^Invalid value for the parameter {name}\\.")
        with refused("InvalidAttributeValue", text):
            queue.set(**{name: str(value)})
        with refused("InvalidAttributeValue", text):
            new_queue(**{name: str(value)})
    assert queue.attribute(name) == str(high), "a refused change changes nothing"


def test_all_or_nothing(queue):
    with refused("InvalidAttributeValue"):
        queue.set(VisibilityTimeout="7", DelaySeconds="901")
    assert queue.attribute("VisibilityTimeout") == "30"


@pytest.mark.parametrize(
    "name",
    ["QueueArn", "CreatedTimestamp", "LastModifiedTimestamp", "ApproximateNumberOfMessages", "Nonsense"],
)
def test_what_cannot_be_set(queue, name):
    with refused("InvalidAttributeName", f"Unknown Attribute {name}."):
        queue.set(**{name: "1"})


def test_the_type_of_a_queue_is_for_life(queue, new_queue):
    for value in ("true", "false"):
        with refused("InvalidAttributeName", "Unknown Attribute FifoQueue."):
            queue.set(FifoQueue=value)
    fifo = new_queue(fifo=True)
    fifo.set(FifoQueue="true")
    text = "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported."
    with refused("InvalidAttributeValue", text):
        fifo.set(FifoQueue="false")


def test_set_content_based_deduplication(new_queue):
    queue = new_queue(fifo=True, ContentBasedDeduplication="true")
    queue.set(ContentBasedDeduplication="false")
    assert queue.attribute("ContentBasedDeduplication") == "false"


def test_high_throughput(new_queue):
    queue = new_queue(fifo=True, DeduplicationScope="messageGroup", FifoThroughputLimit="perMessageGroupId")
    assert queue.attributes("DeduplicationScope", "FifoThroughputLimit") == {
        "DeduplicationScope": "messageGroup",
        "FifoThroughputLimit": "perMessageGroupId",
    }
    queue.set(DeduplicationScope="queue", FifoThroughputLimit="perQueue")
    assert queue.attribute("FifoThroughputLimit") == "perQueue"


def test_a_limit_per_group_needs_deduplication_per_group(new_queue):
    with refused("InvalidAttributeValue", re.compile("FifoThroughputLimit|DeduplicationScope")):
        new_queue(fifo=True, DeduplicationScope="queue", FifoThroughputLimit="perMessageGroupId")


@pytest.mark.parametrize("attribute", [{"DeduplicationScope": "world"}, {"FifoThroughputLimit": "none"}])
def test_values_of_fifo_attributes(new_queue, attribute):
    (name,) = attribute
    with refused("InvalidAttributeValue", re.compile(f"^Invalid value for the parameter {name}\\.")):
        new_queue(fifo=True, **attribute)


def test_encryption_by_a_key_replaces_encryption_by_sqs(queue):
    queue.set(KmsMasterKeyId="testKeyId", KmsDataKeyReusePeriodSeconds="6000")
    names = ("KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled")
    assert queue.attributes(*names) == {
        "KmsMasterKeyId": "testKeyId",
        "KmsDataKeyReusePeriodSeconds": "6000",
        "SqsManagedSseEnabled": "false",
    }
    queue.set(KmsMasterKeyId="", KmsDataKeyReusePeriodSeconds="300")
    assert queue.attributes(*names) == {"SqsManagedSseEnabled": "false"}


def test_both_encryptions_at_once(queue):
    text = (
        "You can use one type of server-side encryption (SSE) at one time. "
        "You can either enable KMS SSE or SQS SSE."
    )
    with refused("InvalidAttributeName", text):
        queue.set(KmsMasterKeyId="testKeyId", SqsManagedSseEnabled="true")


@pytest.mark.parametrize("seconds", ["59", "86401"])
def test_key_reuse_period(queue, seconds):
    with refused("InvalidAttributeValue", re.compile("KmsDataKeyReusePeriodSeconds")):
        queue.set(KmsMasterKeyId="k", KmsDataKeyReusePeriodSeconds=seconds)


def policy(resource):
    statement = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sqs:SendMessage", "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_policy_is_kept_and_cleared(queue):
    queue.set(Policy="")
    assert "Policy" not in queue.attributes()
    queue.set(Policy=policy(queue.arn))
    assert json.loads(queue.attribute("Policy")) == json.loads(policy(queue.arn))
    queue.set(Policy="")
    assert "Policy" not in queue.attributes()


@pytest.mark.parametrize("text", ["not json", "[]", '"text"'])
def test_a_policy_is_a_json_object(queue, text):
    with refused("InvalidAttributeValue", re.compile("^Invalid value for the parameter Policy")):
        queue.set(Policy=text)


def test_policy_of_more_than_8_kib(queue):
    with refused("InvalidAttributeValue", re.compile("Policy")):
        queue.set(Policy=policy("arn:aws:sqs:us-east-1:000000000000:" + "x" * 9000))


def test_unset_visibility_applies_to_the_next_receive(new_queue):
    queue = new_queue(VisibilityTimeout="0")
    queue.send()
    assert len(queue.receive()) == 1
    assert len(queue.receive()) == 1
    queue.set(VisibilityTimeout="30")
    assert len(queue.receive()) == 1
    assert queue.receive() == []


def test_attributes_live_through_a_name(new_queue):
    """A bare queue name in place of the URL is accepted by AWS."""
    name = unique()
    queue = new_queue(name)
    queue.url = name
    assert queue.attribute("QueueArn").endswith(":" + name)
