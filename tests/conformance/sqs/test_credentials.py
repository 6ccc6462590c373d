"""SigV4, when credentials are configured: who is let in, and what the others are told."""

import contextlib
import datetime
import re
import socket

import pytest
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from clients import json_call, query_call, send, signed, sqs_client, transmit
from conftest import NO_WAITS, queue_factory, refused

from kyu_server import NotReady, Server

KEY, SECRET = "AKIDKYUEXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.fixture(scope="module")
def guarded():
    """A server that knows one access key."""
    env = {**NO_WAITS, "KYU_ACCESS_KEY_ID": KEY, "KYU_SECRET_ACCESS_KEY": SECRET}
    with Server(env=env) as server:
        yield server


def friend(guarded, **more):
    return sqs_client(guarded.url, access_key=KEY, secret_key=SECRET, **more)


def test_the_right_key(guarded):
    queue = queue_factory(friend(guarded))()
    queue.send("ünïcödé /+= ~")
    assert queue.bodies() == ["ünïcödé /+= ~"]


def test_another_region_in_the_scope(guarded):
    queue_factory(friend(guarded, region="eu-central-1"))().send()


def test_the_wrong_secret(guarded):
    sqs = sqs_client(guarded.url, access_key=KEY, secret_key="wrong")
    text = re.compile("^The request signature we calculated does not match the signature you provided")
    with refused("SignatureDoesNotMatch", text, http=403, json_name="InvalidSignatureException"):
        sqs.list_queues()


def test_an_unknown_key(guarded):
    sqs = sqs_client(guarded.url, access_key="AKIDSTRANGER", secret_key=SECRET)
    with pytest.raises(ClientError) as caught:
        sqs.list_queues()
    error = caught.value.response["Error"]
    assert error["Code"] == "InvalidClientTokenId"
    assert error["Message"] == "The security token included in the request is invalid."
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_no_signature(guarded):
    answer = json_call(guarded.url, "ListQueues", {})
    assert answer.status == 403
    assert answer.json()["__type"].endswith("MissingAuthenticationToken") or answer.json()["__type"].endswith(
        "MissingAuthenticationTokenException"
    )
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = send(guarded.url + "/", headers=form, body=b"Action=ListQueues")
    assert answer.status == 403
    assert answer.find("Error/Code") == "MissingAuthenticationToken"


def test_nothing_is_told_to_strangers(guarded):
    """Neither whether a queue exists nor whether a request is well formed."""
    queue = queue_factory(friend(guarded))()
    answers = [
        json_call(guarded.url, "GetQueueUrl", {"QueueName": queue.name}),
        json_call(guarded.url, "GetQueueUrl", {"QueueName": "no-such-queue"}),
        json_call(guarded.url, "GetQueueUrl", b"{"),
    ]
    assert {answer.status for answer in answers} == {403}


def test_the_query_protocol(guarded):
    parameters = {"Action": "ListQueues", "Version": "2012-11-05"}
    for method in ("GET", "POST"):
        answer = query_call(guarded.url, parameters, method=method, access_key=KEY, secret_key=SECRET)
        assert answer.status == 200, answer.text
        answer = query_call(guarded.url, parameters, method=method, access_key=KEY, secret_key="wrong")
        assert (answer.status, answer.find("Error/Code")) == (403, "SignatureDoesNotMatch")


def test_a_presigned_url(guarded):
    queue = queue_factory(friend(guarded))()
    parameters = {"Action": "SendMessage", "MessageBody": "pre signed &=/"}
    signing = {"access_key": KEY, "secret_key": SECRET, "presign": True}
    answer = query_call(queue.url, parameters, method="GET", **signing)
    assert answer.status == 200, answer.text
    assert queue.bodies() == ["pre signed &=/"]
    answer = query_call(queue.url, parameters, method="GET", **{**signing, "secret_key": "wrong"})
    assert (answer.status, answer.find("Error/Code")) == (403, "SignatureDoesNotMatch")


def json_request(guarded, body=b"{}"):
    headers = {"X-Amz-Target": "AmazonSQS.ListQueues", "Content-Type": "application/x-amz-json-1.0"}
    return AWSRequest(method="POST", url=guarded.url + "/", data=body, headers=headers)


def kind(answer):
    return answer.json()["__type"].rsplit("#", 1)[-1]


def test_a_body_changed_after_signing(guarded):
    request = signed(json_request(guarded), access_key=KEY, secret_key=SECRET)
    assert transmit(request).status == 200
    request.data = b'{"MaxResults": 5}'
    answer = transmit(request)
    assert (answer.status, kind(answer)) == (403, "InvalidSignatureException")
    assert answer.headers["x-amzn-query-error"] == "SignatureDoesNotMatch;Sender"


def test_a_signed_header_changed_after_signing(guarded):
    request = signed(json_request(guarded), access_key=KEY, secret_key=SECRET)
    request.headers.replace_header("X-Amz-Target", "AmazonSQS.PurgeQueue")
    answer = transmit(request)
    assert (answer.status, kind(answer)) == (403, "InvalidSignatureException")


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_signature_of_another_time(guarded, minutes, monkeypatch):
    import botocore.auth

    shifted = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes)

    def shifted_now(*_, **__):
        return shifted

    if hasattr(botocore.auth, "get_current_datetime"):
        monkeypatch.setattr(botocore.auth, "get_current_datetime", shifted_now)
    else:  # The old botocore.
        frozen = type("Frozen", (datetime.datetime,), {"utcnow": staticmethod(lambda: shifted.replace(tzinfo=None))})
        monkeypatch.setattr(botocore.auth.datetime, "datetime", frozen)
    request = signed(json_request(guarded), access_key=KEY, secret_key=SECRET)
    assert request.headers["X-Amz-Date"][:11] == shifted.strftime("%Y%m%dT%H"), "the test's own clock works"
    answer = transmit(request)
    # The list of common errors gives 400 for RequestExpired, and 403 for a bad signature.
    assert (answer.status, kind(answer)) in [(400, "RequestExpiredException"), (403, "InvalidSignatureException")]
    assert re.search("Signature (expired|not yet current)", answer.text)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic dXNlcjpwYXNz",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=x",
        f"AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/sqs/aws4_request, SignedHeaders=, Signature=",
        f"AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature="
        + "f" * 64,
        "AWS4-HMAC-SHA256 " + "Credential=" * 10_000,
        "AWS4-HMAC-SHA256 Credential=////, SignedHeaders=;;;, Signature=zz",
        "\xff\xfe",
    ],
    ids=lambda header: header[:40],
)
def test_authorization_headers_that_are_none(guarded, header):
    answer = json_call(guarded.url, "ListQueues", {}, {"Authorization": header})
    assert answer.status in (400, 403), answer.text
    friend(guarded).list_queues()


def test_one_half_of_the_credentials_is_an_error():
    half = Server(env={"KYU_ACCESS_KEY_ID": KEY})
    with pytest.raises(RuntimeError, match="(?i)secret"):
        half.start()
    half.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("key, secret", [("", ""), (KEY, ""), ("", SECRET), (KEY, "abc"), (" ", "        ")])
@pytest.mark.parametrize("by_flag", [False, True])
def test_credentials_that_are_set_and_empty_are_none(host, key, secret, by_flag):
    """`KYU_ACCESS_KEY_ID=` in a file of settings counted as credentials: the server started on 0.0.0.0, and
    `Authorization: Basic Og==` was let in."""
    words = ["--access-key-id", key, "--secret-access-key", secret] if by_flag else []
    env = {} if by_flag else {"KYU_ACCESS_KEY_ID": key, "KYU_SECRET_ACCESS_KEY": secret}
    with contextlib.closing(Server(*words, host=host, env=env)) as empty:
        with pytest.raises(NotReady, match="KYU_SECRET_ACCESS_KEY.*(empty|fewer)") as refused:
            empty.start()
        assert refused.value.exit_code == 2


def test_without_credentials_only_loopback_is_served():
    """On all addresses without credentials: the start is refused, or strangers are."""
    outside = address_besides_loopback()
    if outside is None:
        pytest.skip("this machine has no address besides loopback")
    open_to_all = Server(host="0.0.0.0")
    try:
        open_to_all.start()
    except RuntimeError as error:
        assert "credential" in str(error).lower() or "KYU_ACCESS_KEY_ID" in str(error)
        return
    try:
        answer = json_call(f"http://{outside}:{open_to_all.port}", "ListQueues", {})
        assert answer.status == 403
        assert json_call(open_to_all.url, "ListQueues", {}).status == 200
    finally:
        open_to_all.close()


def address_besides_loopback():
    """An own address as another machine would see it; no packet is sent for this."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        found = probe.getsockname()[0]
    return None if found.startswith("127.") else found
