"""SendMessage and ReceiveMessage: bodies, attributes, sums, sizes."""

import hashlib
import re
import time
import uuid

import pytest
from conftest import refused

TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
MIB = 1 << 20


def string(value, kind="String"):
    return {"DataType": kind, "StringValue": value}


def binary(value, kind="Binary"):
    return {"DataType": kind, "BinaryValue": value}


def test_send_receive_delete(queue):
    sent = queue.send("message")
    assert sent["MD5OfMessageBody"] == "78e731027d8fd50ed642340b7c9a63b3"
    assert str(uuid.UUID(sent["MessageId"])) == sent["MessageId"]
    assert set(sent) == {"MD5OfMessageBody", "MessageId", "ResponseMetadata"}
    message = queue.one()
    assert set(message) == {"MessageId", "ReceiptHandle", "MD5OfBody", "Body"}
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "message")
    queue.delete(message)
    assert queue.counts() == (0, 0, 0)


def test_one_message_unless_more_are_asked_for(queue):
    queue.send_batch(*"abcde")
    assert len(queue.sqs.receive_message(QueueUrl=queue.url)["Messages"]) == 1
    assert len(queue.receive(3)) == 3
    assert len(queue.receive(10)) == 1


@pytest.mark.parametrize("count", [0, 11, -1])
def test_how_many_can_be_asked_for(queue, count):
    text = (
        f"Value {count} for parameter MaxNumberOfMessages is invalid. "
        "Reason: Must be between 1 and 10, if provided."
    )
    with refused("InvalidParameterValue", text):
        queue.receive(count)


@pytest.mark.parametrize("seconds", [21, -1])
def test_how_long_can_be_waited(queue, seconds):
    text = (
        f"Value {seconds} for parameter WaitTimeSeconds is invalid. "
        "Reason: Must be >= 0 and <= 20, if provided."
    )
    with refused("InvalidParameterValue", text):
        queue.receive(wait=seconds)


@pytest.mark.parametrize(
    "body",
    [
        '"&quot;&quot;\r',
        '{\r\n"machineID" : "d357006e26ff47439e1ef894225d4307"}',
        '{"foo": "ba\rr", "foo2": "ba&quot;r&quot;"}',
        "<a>&amp;</a>]]>",
        "tab\tand\nnewline",
        "ünïcödé 日本語 \U0001f600",
        "\ud7ff\ue000\ufffd\U00010000\U0010ffff",
        " leading and trailing ",
        "a+b=c&d%20e",
    ],
)
def test_bodies_come_back_as_they_were(queue, body):
    sent = queue.send(body)
    assert sent["MD5OfMessageBody"] == hashlib.md5(body.encode()).hexdigest()
    assert queue.one()["Body"] == body


@pytest.mark.parametrize("character", ["\x00", "\x08", "\x0b", "\x13", "\ufffe", "\uffff"])
def test_bodies_that_xml_cannot_carry(queue, character):
    with refused("InvalidMessageContents", re.compile("[Ii]nvalid")):
        queue.send(f"bad-{character}-body")
    assert queue.counts() == (0, 0, 0)


def test_an_empty_body(careless, queue):
    with refused("MissingParameter", "The request must contain the parameter MessageBody."):
        careless.send_message(QueueUrl=queue.url, MessageBody="")


def test_a_message_of_1_mib(queue):
    body = "x" * MIB
    queue.send(body)
    assert queue.one()["Body"] == body


def test_ten_messages_of_1_mib_in_one_receive(queue):
    for i in range(10):
        queue.send(str(i) * MIB)
    assert sorted(body[0] for body in queue.drain(10)) == list("0123456789")


def test_one_byte_too_much(queue):
    text = "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes."
    with refused("InvalidParameterValue", text):
        queue.send("x" * (MIB + 1))
    attributes = {"k": string("x")}
    size_of_attributes = len("k") + len("String") + len("x")
    with refused("InvalidParameterValue", text):
        queue.send("x" * (MIB - size_of_attributes + 1), MessageAttributes=attributes)
    queue.send("x" * (MIB - size_of_attributes), MessageAttributes=attributes)


def test_size_is_counted_in_bytes(new_queue):
    queue = new_queue(MaximumMessageSize="1024")
    queue.send("ü" * 512)
    text = "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes."
    with refused("InvalidParameterValue", text):
        queue.send("ü" * 513)


def test_a_smaller_limit_of_the_queue(queue):
    queue.set(MaximumMessageSize="1024")
    queue.send("x" * 1024)
    text = "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes."
    with refused("InvalidParameterValue", text):
        queue.send("x" * 1025)


def test_the_trace_header_does_not_count(new_queue):
    queue = new_queue(MaximumMessageSize="1024")
    queue.send("x" * 1024, MessageSystemAttributes={"AWSTraceHeader": string(TRACE)})


def test_attributes_of_every_type(queue):
    attributes = {
        "attr.1øßä": string("Valida"),
        "number": string("1614717034367", "Number"),
        "fraction": string("-12.5e3", "Number.float"),
        "labelled": string("x", "String.custom.label"),
        "bytes": binary(b"traceparent\x1e00-77\x00\xff"),
        "png": binary(bytes(range(256)), "Binary.png"),
    }
    sent = queue.send("test", MessageAttributes=attributes)
    message = queue.one(MessageAttributeNames=["All"])
    assert message["MessageAttributes"] == attributes
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]


def test_recorded_sum_of_a_binary_attribute(queue):
    value = b"traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01"
    sent = queue.send("test", MessageAttributes={"attr1": binary(value)})
    assert sent["MD5OfMessageAttributes"] == "8cbe4db156db8a94db8b801b7addb984"


ATTRIBUTES = {"Help.Me": string("Me"), "Hello": string("There"), "General": string("Kenobi")}
ALL_SUM = "4c360f3fdafd970e05fae2f149d997f5"


@pytest.mark.parametrize(
    ("asked", "given", "md5"),
    [
        ([], [], None),
        (["All"], ["General", "Hello", "Help.Me"], ALL_SUM),
        ([".*"], ["General", "Hello", "Help.Me"], ALL_SUM),
        (["*"], ["General", "Hello", "Help.Me"], ALL_SUM),
        (["Foo", "Help"], [], None),
        (["Hello", "General"], ["General", "Hello"], "fca026605781cb4126a1e9044df24232"),
        (["Foo", "Hello"], ["Hello"], "a311262e065454b75da111d535b8dacd"),
        (["Hel.*"], ["Hello", "Help.Me"], "83fee93c1bcd8b9a5a923ffacdc636c7"),
        (["AWS."], [], None),
        (["..foo"], [], None),
    ],
)
def test_choosing_attributes(queue, asked, given, md5):
    """The sum covers the attributes that are given, not those that were sent."""
    assert queue.send("msg", MessageAttributes=ATTRIBUTES)["MD5OfMessageAttributes"] == ALL_SUM
    message = queue.one(MessageAttributeNames=asked)
    assert sorted(message.get("MessageAttributes", {})) == given
    assert message.get("MD5OfMessageAttributes") == md5


@pytest.mark.parametrize(
    "attributes",
    [
        {"attr1": string("Invalid-\x08,\x0b")},
        {"aWs.-attr": string("x")},
        {"AMAZON.-attr": string("x")},
        {".attr": string("x")},
        {"attr.": string("x")},
        {"at..tr": string("x")},
        {"bad!name": string("x")},
        {"bad name": string("x")},
        {"L" * 257: string("x")},
        {"name": string("x", "Text")},
        {"name": string("x", "")},
        {"name": string("x", "Number." + "L" * 256)},
        {"name": string("not a number", "Number")},
        {"name": {"DataType": "String"}},
        {"name": {"DataType": "Binary", "StringValue": "x"}},
        {"name": {"DataType": "String", "BinaryValue": b"x"}},
    ],
    ids=lambda attributes: repr(attributes)[:40],
)
def test_attributes_that_are_refused(queue, attributes):
    with refused("InvalidParameterValue"):
        queue.send("test", MessageAttributes=attributes)
    assert queue.counts() == (0, 0, 0)


def test_an_empty_attribute(queue):
    text = "Message (user) attribute 'ErrorDetails' must contain a non-empty value of type 'String'."
    with refused("InvalidParameterValue", text):
        queue.send("test", MessageAttributes={"ErrorDetails": string("")})


def test_ten_attributes_and_no_more(queue):
    ten = {f"a{i}": string("x") for i in range(10)}
    queue.send("test", MessageAttributes=ten)
    with refused("InvalidParameterValue", re.compile("10")):
        queue.send("test", MessageAttributes={**ten, "a10": string("x")})


def test_the_trace_header_is_kept_apart(queue):
    attributes = {"timestamp": string("1493147359900", "Number")}
    plain = queue.send("test", MessageAttributes=attributes)
    traced = queue.send(
        "test", MessageAttributes=attributes, MessageSystemAttributes={"AWSTraceHeader": string(TRACE)}
    )
    assert plain["MD5OfMessageAttributes"] == traced["MD5OfMessageAttributes"] == "235c5c510d26fb653d073faed50ae77c"
    assert "MD5OfMessageSystemAttributes" not in plain
    assert traced["MD5OfMessageSystemAttributes"] == "5ae4d5d7636402d80f4eb6d213245a88"
    first, second = queue.receive(10, AttributeNames=["AWSTraceHeader"])
    assert "Attributes" not in first
    assert second["Attributes"] == {"AWSTraceHeader": TRACE}


def test_the_trace_header_of_http(queue, sqs):
    """X-Ray puts the header on the HTTP request; SQS keeps it with the message."""

    def add_header(request, **_):
        request.headers["X-Amzn-Trace-Id"] = TRACE

    sqs.meta.events.register("before-send.sqs.SendMessage", add_header)
    try:
        queue.send("test")
    finally:
        sqs.meta.events.unregister("before-send.sqs.SendMessage", add_header)
    assert queue.one(AttributeNames=["AWSTraceHeader"])["Attributes"] == {"AWSTraceHeader": TRACE}


def test_other_system_attributes_cannot_be_sent(careless, queue):
    with refused("InvalidParameterValue"):
        careless.send_message(
            QueueUrl=queue.url, MessageBody="x", MessageSystemAttributes={"SenderId": string("me")}
        )


def test_system_attributes_of_a_standard_queue(queue):
    before = int(time.time() * 1000)
    queue.send()
    first = queue.one(AttributeNames=["All"], VisibilityTimeout=0)["Attributes"]
    assert set(first) == {
        "SenderId",
        "SentTimestamp",
        "ApproximateReceiveCount",
        "ApproximateFirstReceiveTimestamp",
    }
    now = int(time.time() * 1000)
    assert before <= int(first["SentTimestamp"]) <= int(first["ApproximateFirstReceiveTimestamp"]) <= now
    assert first["ApproximateReceiveCount"] == "1"
    second = queue.one(AttributeNames=["All"])["Attributes"]
    assert second == {**first, "ApproximateReceiveCount": "2"}


def test_system_attributes_of_a_fifo_queue(new_queue):
    queue = new_queue(fifo=True)
    sent = queue.send("m", MessageGroupId="group-1", MessageDeduplicationId="dedup-1")
    assert re.fullmatch(r"\d{20}", sent["SequenceNumber"])
    found = queue.one(AttributeNames=["All"])["Attributes"]
    assert found["SequenceNumber"] == sent["SequenceNumber"]
    assert found["MessageGroupId"] == "group-1"
    assert found["MessageDeduplicationId"] == "dedup-1"


def test_only_the_asked_system_attributes(queue):
    queue.send()
    assert set(queue.one(AttributeNames=["SenderId", "SequenceNumber"])["Attributes"]) == {"SenderId"}


@pytest.mark.json_protocol
def test_the_new_name_of_the_parameter(queue):
    queue.send()
    names = {"MessageSystemAttributeNames": ["ApproximateReceiveCount"], "VisibilityTimeout": 0}
    assert queue.one(**names)["Attributes"] == {"ApproximateReceiveCount": "1"}
    both = queue.one(MessageSystemAttributeNames=["All"], AttributeNames=["SenderId"])["Attributes"]
    assert "ApproximateReceiveCount" in both, "JSON takes the union (recorded)"


def test_asking_for_an_unknown_system_attribute(careless, queue):
    with refused("InvalidAttributeName", "Unknown Attribute Nonsense."):
        careless.receive_message(QueueUrl=queue.url, AttributeNames=["Nonsense"])


def test_a_queue_by_its_name(queue, sqs):
    """Recorded: a bare queue name does in place of the URL."""
    sent = sqs.send_message(QueueUrl=queue.name, MessageBody="Using name instead of URL")
    assert sent["MD5OfMessageBody"] == "86a83f96652a1bfad3891e7d523750cb"
    assert queue.one()["MessageId"] == sent["MessageId"]


@pytest.mark.parametrize("group", ["", "a" * 129, "group 123"])
def test_groups_of_a_standard_queue_are_checked(careless, queue, group):
    text = (
        f"Value {group} for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include "
        "alphanumeric and punctuation characters. 1 to 128 in length."
    )
    with refused("InvalidParameterValue", text):
        careless.send_message(QueueUrl=queue.url, MessageBody="message", MessageGroupId=group)


def test_a_deduplication_id_on_a_standard_queue(queue):
    # AWS has been seen with and without the grammar.
    text = re.compile(
        "^Value d for parameter MessageDeduplicationId is invalid. "
        "Reason: The request includes?( a)? parameter that is not valid for this queue type.$"
    )
    with refused("InvalidParameterValue", text):
        queue.send(MessageDeduplicationId="d")


@pytest.mark.slow
def test_retention_takes_messages_away(new_queue):
    """60 s is the shortest retention; a change applies to messages that are already there. What is
    under lease is not taken from its receiver (AWS takes it)."""
    short, changed = new_queue(MessageRetentionPeriod="60"), new_queue()
    fifo = new_queue(fifo=True, MessageRetentionPeriod="60", ContentBasedDeduplication="true")
    for queue in (short, changed):
        queue.send("waiting")
        queue.send("in flight")
    fifo.send("waiting", MessageGroupId="g")
    changed.set(MessageRetentionPeriod="60")
    in_flight = short.receive(1, VisibilityTimeout=120)
    time.sleep(61)
    for queue in (short, changed, fifo):
        assert queue.receive(10) == []
    assert changed.counts() == fifo.counts() == (0, 0, 0)
    assert short.counts() == (0, 1, 0)
    short.delete(in_flight[0])
    assert short.counts() == (0, 0, 0)
