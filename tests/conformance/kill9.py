"""Kills the real server under boto3 load, again and again, and checks that nothing acknowledged is lost.

    kill9.py [--rounds N] [--seed N] [--control-rounds N]

Each round starts the server on the same data, lets senders, receivers and deleters work, and sends
SIGKILL at a random moment. At the end the queues are drained and a set checker compares what was
acknowledged with what came:

- every message acknowledged as sent is received until it is acknowledged as deleted;
- nothing acknowledged as deleted comes back;
- nothing unknown appears, and bodies come back byte for byte;
- in FIFO groups each message is delivered once per content, in the order in which it was sent, although
  the sender repeats (with the same deduplication id) whatever was not acknowledged.

A checker that never fails proves nothing. So the same rounds are run once more against a server that
acknowledges before it writes ($KYU_TEST_BREAK_SYNC=1): there the checker must find losses.
"""

import argparse
import dataclasses
import hashlib
import random
import sys
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from kyu_server import Server

SENDERS, FIFO_SENDERS, RECEIVERS = 3, 2, 3
LIFE_SECONDS = (0.3, 1.5)
VISIBILITY_SECONDS = 3
DRAIN_SECONDS = 120
# Small bodies mostly; some above a disk page, few above the size that goes into files of its own.
BODY_BYTES = [(0, 200)] * 16 + [(5_000, 9_000)] * 3 + [(300_000, 400_000)]


@dataclasses.dataclass
class Delivery:
    """One message as it came in one receive."""

    key: str
    message_id: str
    receipt: str
    asked_at: float
    intact: bool


class Ledger:
    """What clients know: attempted, acknowledged and received messages. Every method locks."""

    def __init__(self):
        self.lock = threading.Lock()
        self.attempted: set[str] = set()
        self.sent: set[str] = set()
        self.delete_attempted: set[str] = set()
        self.delete_attempted_before_drain: set[str] = set()
        self.deleted_at: dict[str, float] = {}
        self.received: set[str] = set()
        self.fifo_sent: dict[str, int] = {}
        self.fifo_first: dict[str, list[int]] = {}
        self.fifo_ids: dict[str, str] = {}
        self.violations: list[str] = []

    def attempt(self, keys):
        with self.lock:
            self.attempted.update(keys)

    def acknowledge(self, keys):
        with self.lock:
            self.sent.update(keys)

    def attempt_delete(self, keys):
        with self.lock:
            self.delete_attempted.update(keys)

    def acknowledge_delete(self, keys):
        now = time.monotonic()
        with self.lock:
            for key in keys:
                self.deleted_at.setdefault(key, now)

    def deliver(self, deliveries: list[Delivery]):
        """Checks what came against what is known."""
        with self.lock:
            for d in deliveries:
                if d.key not in self.attempted:
                    self.violations.append(f"unknown message {d.key}")
                if not d.intact:
                    self.violations.append(f"body of {d.key} changed")
                # A receive that was under way when the delete was acknowledged may still bring it.
                if self.deleted_at.get(d.key, d.asked_at) < d.asked_at:
                    self.violations.append(f"deleted message {d.key} came back")
                self.received.add(d.key)

    def deliver_fifo(self, deliveries: list[Delivery]):
        """Order and uniqueness of FIFO messages, whose keys are GROUP/NUMBER."""
        with self.lock:
            for d in deliveries:
                group, number = d.key.split("/")
                known = self.fifo_ids.setdefault(d.key, d.message_id)
                if known != d.message_id:
                    self.violations.append(f"{d.key} was stored twice: {known} and {d.message_id}")
                first = self.fifo_first.setdefault(group, [])
                if int(number) not in first:
                    if int(number) != len(first):
                        self.violations.append(f"{d.key} came when {group}/{len(first)} was next")
                    first.append(int(number))

    def surprise(self, what: str):
        """An error that no kill explains."""
        with self.lock:
            self.violations.append(what)

    def lost(self) -> set[str]:
        """Acknowledged messages that nobody tried to delete before the drain, and that it did not bring."""
        with self.lock:
            return self.sent - self.delete_attempted_before_drain - self.received

    def begin_drain(self):
        """From here on, what is still there must come once more."""
        with self.lock:
            self.delete_attempted_before_drain = set(self.delete_attempted)
            self.received.clear()


def make_body(key: str, rng: random.Random) -> str:
    """A body that proves itself: key, sum of the padding, padding."""
    low, high = rng.choice(BODY_BYTES)
    padding = rng.choice("abcdefgh") * rng.randint(low, high)
    return f"{key} {hashlib.md5(padding.encode()).hexdigest()} {padding}"


def read_delivery(message, asked_at: float) -> Delivery:
    key, checksum, padding = message["Body"].split(" ", 2)
    intact = hashlib.md5(padding.encode()).hexdigest() == checksum
    return Delivery(key, message["MessageId"], message["ReceiptHandle"], asked_at, intact)


class Load:
    """The clients of one round: threads that work until the server dies under them."""

    def __init__(self, server: Server, ledger: Ledger, seed: int, round_number: int):
        self.server, self.ledger, self.seed, self.round = server, ledger, seed, round_number
        self.over = threading.Event()
        self.threads: list[threading.Thread] = []

    def start(self):
        for index in range(SENDERS):
            self.spawn(self.send, index)
        for index in range(FIFO_SENDERS):
            self.spawn(self.send_fifo, index)
        for index in range(RECEIVERS):
            self.spawn(self.receive, index, "kill9")
        self.spawn(self.receive, RECEIVERS, "kill9.fifo")
        return self

    def spawn(self, work, index, *more):
        rng = random.Random(f"{self.seed}/{self.round}/{work.__name__}/{index}")

        def run():
            sqs = client(self.server)
            try:
                while not self.over.is_set():
                    work(sqs, rng, index, *more)
            except BotoCoreError:
                pass  # The server is gone; what was under way has an unknown outcome.
            except ClientError as error:
                self.ledger.surprise(f"{work.__name__}: {error}")

        thread = threading.Thread(target=run)
        self.threads.append(thread)
        thread.start()

    def join(self):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def send(self, sqs, rng, index):
        url = queue_url(self.server, "kill9")
        keys = [f"{self.round}-{index}-{rng.getrandbits(60):x}" for _ in range(rng.choice([1, 1, 3, 10]))]
        bodies = [make_body(key, rng) for key in keys]
        self.ledger.attempt(keys)
        if len(keys) == 1:
            sqs.send_message(QueueUrl=url, MessageBody=bodies[0])
            self.ledger.acknowledge(keys)
            return
        if sum(map(len, bodies)) > 1_000_000:
            return
        entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies)]
        answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
        self.ledger.acknowledge(keys[int(entry["Id"])] for entry in answer.get("Successful", []))

    def send_fifo(self, sqs, rng, index):
        """Sends the next number of a group; the same number again until it is acknowledged."""
        group = f"g{index}-{rng.randint(0, 1)}"
        number = self.ledger.fifo_sent.get(group, 0)  # Only this thread sends to this group.
        key = f"{group}/{number}"
        self.ledger.attempt([key])
        # The body depends on the key alone, so that a repeated send is the same message.
        body = make_body(key, random.Random(key))
        sqs.send_message(
            QueueUrl=queue_url(self.server, "kill9.fifo"),
            MessageBody=body,
            MessageGroupId=group,
            MessageDeduplicationId=key.replace("/", "-"),
        )
        self.ledger.acknowledge([key])
        self.ledger.fifo_sent[group] = number + 1

    def receive(self, sqs, rng, _index, name):
        deliveries = receive_once(sqs, self.server, self.ledger, name)
        fate = rng.random()
        if fate < 0.15:
            return  # Left alone: the visibility timeout brings them back.
        url = queue_url(self.server, name)
        if fate < 0.25 and deliveries:
            give_back(sqs, url, deliveries[0])
            deliveries = deliveries[1:]
        delete(sqs, url, self.ledger, deliveries)


def receive_once(sqs, server, ledger, name, wait=1) -> list[Delivery]:
    asked_at = time.monotonic()
    answer = sqs.receive_message(QueueUrl=queue_url(server, name), MaxNumberOfMessages=10, WaitTimeSeconds=wait)
    deliveries = [read_delivery(message, asked_at) for message in answer.get("Messages", [])]
    ledger.deliver(deliveries)
    if name.endswith(".fifo"):
        ledger.deliver_fifo(deliveries)
    return deliveries


def give_back(sqs, url, delivery):
    """Makes one visible at once; too late for a FIFO message is no surprise."""
    try:
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=delivery.receipt, VisibilityTimeout=0)
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidParameterValue":
            raise


def delete(sqs, url, ledger, deliveries):
    """Deletes in a batch, and notes which deletions are proved."""
    if not deliveries:
        return
    ledger.attempt_delete(d.key for d in deliveries)
    entries = [{"Id": str(i), "ReceiptHandle": d.receipt} for i, d in enumerate(deliveries)]
    answer = sqs.delete_message_batch(QueueUrl=url, Entries=entries)
    done = [deliveries[int(entry["Id"])] for entry in answer.get("Successful", [])]
    # A FIFO queue refuses an expired receipt. A standard queue says yes to it and deletes nothing if
    # the message went to another receiver meanwhile: there a yes counts only within the lease.
    now = time.monotonic()
    ledger.acknowledge_delete(
        d.key for d in done if url.endswith(".fifo") or now < d.asked_at + VISIBILITY_SECONDS
    )


def client(server: Server):
    return boto3.client(
        "sqs",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=30),
    )


def queue_url(server: Server, name: str) -> str:
    return f"{server.url}/000000000000/{name}"


def create_queues(server: Server):
    sqs = client(server)
    timeout = {"VisibilityTimeout": str(VISIBILITY_SECONDS)}
    sqs.create_queue(QueueName="kill9", Attributes=timeout)
    sqs.create_queue(QueueName="kill9.fifo", Attributes={**timeout, "FifoQueue": "true"})


def run(rounds: int, seed: int, env: dict[str, str]) -> list[str]:
    """The rounds and the drain; gives what the checker found wrong."""
    rng = random.Random(seed)
    ledger = Ledger()
    server = Server(env=env)
    try:
        for round_number in range(rounds):
            started = time.monotonic()
            server.start()
            ready_seconds = time.monotonic() - started
            create_queues(server)
            load = Load(server, ledger, seed, round_number).start()
            time.sleep(rng.uniform(*LIFE_SECONDS))
            server.kill()
            load.join()
            print(
                f"  round {round_number}: ready in {ready_seconds:.2f} s, so far {len(ledger.sent)} sent, "
                f"{len(ledger.deleted_at)} deleted",
                flush=True,
            )
        server.start()
        create_queues(server)
        drain(server, ledger)
        server.stop()
    except Exception:
        print(server.log(), file=sys.stderr)
        raise
    finally:
        server.close()
    lost = sorted(ledger.lost())
    if lost:
        ledger.violations.append(f"{len(lost)} acknowledged messages lost, such as {lost[:3]}")
    return ledger.violations


def drain(server: Server, ledger: Ledger):
    """Receives and deletes until both queues say that they are empty."""
    sqs = client(server)
    ledger.begin_drain()
    deadline = time.monotonic() + DRAIN_SECONDS
    for name in ("kill9", "kill9.fifo"):
        url = queue_url(server, name)
        while held(sqs, url):
            if time.monotonic() > deadline:
                ledger.surprise(f"{name} still counts {held(sqs, url)} messages after {DRAIN_SECONDS} s")
                return
            delete(sqs, url, ledger, receive_once(sqs, server, ledger, name))


def held(sqs, url) -> int:
    names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(value) for value in attributes.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--control-rounds", type=int, default=4, help="0 leaves the positive control out")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options = parser.parse_args()
    print(f"kill9: {options.rounds} rounds, repeat with --seed {options.seed}", flush=True)
    found = run(options.rounds, options.seed, {})
    if found:
        print(f"kill9: FAILED with {len(found)} findings:", *found[:20], sep="\n  ")
        return 1
    print("kill9: nothing acknowledged was lost")
    if options.control_rounds:
        print("kill9: positive control, acknowledging before writing", flush=True)
        found = run(options.control_rounds, options.seed, {"KYU_TEST_BREAK_SYNC": "1"})
        if not any("lost" in finding for finding in found):
            print("kill9: FAILED, the checker found no loss with $KYU_TEST_BREAK_SYNC=1:", *found[:5], sep="\n  ")
            return 1
        print(f"kill9: the checker sees it: {found[-1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
