"""The three batch actions: per-entry results, and the errors that refuse the whole request."""

import hashlib
import re

import pytest
from conftest import refused

MIB = 1 << 20
PREFIX = "AWS.SimpleQueueService."
BAD_ID = (
    "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
    "It can be at most 80 letters long."
)


def results(answer):
    """({id: successful}, {id: failed}); a key that is absent is an empty list."""
    return tuple({entry["Id"]: entry for entry in answer.get(key, [])} for key in ("Successful", "Failed"))


def entries_for(kind, count, handles=None):
    more = {
        "send_message_batch": lambda i: {"MessageBody": str(i)},
        "delete_message_batch": lambda i: {"ReceiptHandle": handles[i] if handles else "h"},
        "change_message_visibility_batch": lambda i: {
            "ReceiptHandle": handles[i] if handles else "h",
            "VisibilityTimeout": 1,
        },
    }[kind]
    return [{"Id": str(i), **more(i)} for i in range(count)]


KINDS = ["send_message_batch", "delete_message_batch", "change_message_visibility_batch"]


def test_ten_of_each(queue, sqs):
    good, failed = results(queue.send_batch(*map(str, range(10))))
    assert set(good) == set(map(str, range(10))) and not failed
    assert good["3"]["MD5OfMessageBody"] == hashlib.md5(b"3").hexdigest()
    messages = queue.receive(10)
    assert {m["MessageId"] for m in messages} == {g["MessageId"] for g in good.values()}
    handles = [m["ReceiptHandle"] for m in messages]
    good, failed = results(
        sqs.change_message_visibility_batch(
            QueueUrl=queue.url, Entries=entries_for("change_message_visibility_batch", 10, handles)
        )
    )
    assert len(good) == 10 and not failed
    good, failed = results(
        sqs.delete_message_batch(QueueUrl=queue.url, Entries=entries_for("delete_message_batch", 10, handles))
    )
    assert len(good) == 10 and not failed
    assert queue.counts() == (0, 0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_too_many_entries(queue, sqs, kind):
    text = "Maximum number of entries per request are 10. You have sent 20."
    with refused(PREFIX + "TooManyEntriesInBatchRequest", text):
        getattr(sqs, kind)(QueueUrl=queue.url, Entries=entries_for(kind, 20))


@pytest.mark.parametrize("kind", KINDS)
def test_no_entries(careless, queue, kind):
    with refused(PREFIX + "EmptyBatchRequest"):
        getattr(careless, kind)(QueueUrl=queue.url, Entries=[])


@pytest.mark.parametrize("kind", KINDS)
def test_equal_ids(queue, sqs, kind):
    entries = entries_for(kind, 2)
    entries[1]["Id"] = entries[0]["Id"]
    with refused(PREFIX + "BatchEntryIdsNotDistinct", re.compile("Id 0 repeated")):
        getattr(sqs, kind)(QueueUrl=queue.url, Entries=entries)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", ["", "invalid:id", "x" * 81, "sp ace", "ü"])
def test_bad_ids(careless, queue, kind, bad):
    entries = entries_for(kind, 1)
    entries[0]["Id"] = bad
    with refused(PREFIX + "InvalidBatchEntryId", BAD_ID):
        getattr(careless, kind)(QueueUrl=queue.url, Entries=entries)


def test_the_longest_id(queue):
    good, _ = results(queue.send_batch({"Id": "x_-" + "9" * 77, "MessageBody": "m"}))
    assert len(good) == 1


def test_the_sum_of_the_sizes(queue):
    attributes = {"k": {"DataType": "String", "StringValue": "x"}}
    body = "a" * (MIB - len("kStringx"))
    text = "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes."
    with refused(PREFIX + "BatchRequestTooLong", text):
        queue.send_batch({"MessageBody": body, "MessageAttributes": attributes}, "a")
    assert queue.counts() == (0, 0, 0)
    good, _ = results(queue.send_batch({"MessageBody": body[1:], "MessageAttributes": attributes}, "a"))
    assert len(good) == 2


def test_one_entry_above_the_queue_s_limit(new_queue):
    queue = new_queue(MaximumMessageSize="1024")
    good, failed = results(queue.send_batch("a" * 1024, "a" * 1025))
    assert set(good) == {"0"}
    assert failed["1"] == {
        "Id": "1",
        "SenderFault": True,
        "Code": "InvalidParameterValue",
        "Message": "One or more parameters cannot be validated. Reason: Message must be shorter than 1024 bytes.",
    }
    assert queue.bodies() == ["a" * 1024]


def test_the_queue_s_limit_is_for_each_entry(new_queue):
    queue = new_queue(MaximumMessageSize="2048")
    attributes = {"k": {"DataType": "String", "StringValue": "x"}}
    good, failed = results(
        queue.send_batch({"MessageBody": "a" * 2040, "MessageAttributes": attributes}, "a")
    )
    assert len(good) == 2 and not failed


def test_one_bad_character(queue):
    good, failed = results(queue.send_batch(*"012345678", "\x01"))
    assert len(good) == 9
    assert failed["9"]["Code"] == "InvalidMessageContents"
    assert failed["9"]["SenderFault"] is True
    assert sorted(queue.drain(9)) == list("012345678")


def test_one_bad_delay(queue):
    good, failed = results(
        queue.send_batch({"MessageBody": "a", "DelaySeconds": 901}, {"MessageBody": "b", "DelaySeconds": 0})
    )
    assert set(good) == {"1"}
    assert (failed["0"]["Code"], failed["0"]["SenderFault"]) == ("InvalidParameterValue", True)
    assert queue.bodies() == ["b"]


def test_one_bad_attribute(queue):
    bad = {"AWS.x": {"DataType": "String", "StringValue": "x"}}
    good, failed = results(queue.send_batch({"MessageBody": "a", "MessageAttributes": bad}, "b"))
    assert set(good) == {"1"} and failed["0"]["Code"] == "InvalidParameterValue"


def test_attributes_in_a_batch(queue):
    attributes = {"timestamp": {"DataType": "Number", "StringValue": "1493147359900"}}
    good, _ = results(queue.send_batch({"MessageBody": "a", "MessageAttributes": attributes}, "b"))
    assert good["0"]["MD5OfMessageAttributes"] == "235c5c510d26fb653d073faed50ae77c"
    assert "MD5OfMessageAttributes" not in good["1"]


def test_a_batch_to_a_fifo_queue(fifo):
    entries = [{"MessageBody": f"m{i}", "MessageGroupId": "g"} for i in range(10)]
    good, _ = results(fifo.send_batch(*entries))
    numbers = [good[str(i)]["SequenceNumber"] for i in range(10)]
    assert numbers == sorted(numbers) and len(set(numbers)) == 10
    assert fifo.bodies() == [f"m{i}" for i in range(10)]


def test_a_missing_group_refuses_the_whole_batch(new_queue):
    """Recorded, in both protocols: not an entry in Failed."""
    queue = new_queue(fifo=True)
    text = "The request must contain the parameter MessageGroupId."
    with refused("InvalidParameterValue", text):
        queue.send_batch(
            {"MessageBody": "a", "MessageGroupId": "g", "MessageDeduplicationId": "1"},
            {"MessageBody": "b", "MessageDeduplicationId": "2"},
        )
    assert queue.counts() == (0, 0, 0)


def test_a_missing_deduplication_id_refuses_the_whole_batch(new_queue):
    """Recorded, in both protocols: not an entry in Failed."""
    queue = new_queue(fifo=True)
    text = (
        "The queue should either have ContentBasedDeduplication enabled or "
        "MessageDeduplicationId provided explicitly"
    )
    with refused("InvalidParameterValue", text):
        queue.send_batch(
            {"MessageBody": "a", "MessageGroupId": "g", "MessageDeduplicationId": "1"},
            {"MessageBody": "b", "MessageGroupId": "g"},
        )
    assert queue.counts() == (0, 0, 0)


def test_delete_with_one_bad_handle(queue, sqs):
    queue.send()
    handle = queue.one()["ReceiptHandle"]
    good, failed = results(
        sqs.delete_message_batch(
            QueueUrl=queue.url,
            Entries=[{"Id": "good", "ReceiptHandle": handle}, {"Id": "bad", "ReceiptHandle": "garbage"}],
        )
    )
    assert set(good) == {"good"}
    assert failed["bad"] == {
        "Id": "bad",
        "SenderFault": True,
        "Code": "ReceiptHandleIsInvalid",
        "Message": 'The input receipt handle "garbage" is not a valid receipt handle.',
    }
    assert queue.counts() == (0, 0, 0)


def test_change_with_bad_entries(queue, sqs):
    queue.send_batch("a", "b")
    first, second = (m["ReceiptHandle"] for m in queue.receive(10))
    good, failed = results(
        sqs.change_message_visibility_batch(
            QueueUrl=queue.url,
            Entries=[
                {"Id": "good", "ReceiptHandle": first, "VisibilityTimeout": 0},
                {"Id": "long", "ReceiptHandle": second, "VisibilityTimeout": 43201},
                {"Id": "bad", "ReceiptHandle": "garbage", "VisibilityTimeout": 0},
            ],
        )
    )
    assert set(good) == {"good"}
    assert {i: f["Code"] for i, f in failed.items()} == {
        "long": "InvalidParameterValue",
        "bad": "ReceiptHandleIsInvalid",
    }
    assert queue.counts() == (1, 1, 0)
