"""Fair queues: MessageGroupId on a standard queue is a tenant; quiet tenants are served first.

A tenant is noisy with more than 10 % of the messages in flight and at least 30 of its own.
"""


def fill(queue, tenant, count):
    for start in range(0, count, 10):
        entries = [
            {"MessageBody": f"{tenant}{i}", "MessageGroupId": tenant} for i in range(start, min(start + 10, count))
        ]
        queue.send_batch(*entries)


def take(queue, count):
    """Takes `count` messages into flight."""
    taken = []
    while len(taken) < count:
        more = queue.receive(min(10, count - len(taken)))
        assert more
        taken.extend(more)
    return taken


def test_the_tenant_reads_back_and_does_not_lock(queue):
    queue.send("a", MessageGroupId="tenant")
    queue.send("b", MessageGroupId="tenant")
    messages = queue.receive(10, AttributeNames=["MessageGroupId"])
    assert [m["Body"] for m in messages] == ["a", "b"]
    assert messages[0]["Attributes"] == {"MessageGroupId": "tenant"}


def test_a_quiet_tenant_overtakes_a_noisy_one(queue):
    fill(queue, "noisy", 100)
    take(queue, 40)
    queue.send("quiet", MessageGroupId="quiet")
    assert queue.bodies(1) == ["quiet"]


def test_messages_without_a_tenant_are_tenants_of_their_own(queue):
    fill(queue, "noisy", 100)
    take(queue, 40)
    queue.send("alone")
    assert queue.bodies(1) == ["alone"]


def test_below_thirty_in_flight_nobody_is_noisy(queue):
    fill(queue, "busy", 100)
    take(queue, 20)
    queue.send("late", MessageGroupId="late")
    assert queue.bodies(1) == ["busy20"], "in the order of arrival"


def test_among_the_noisy_the_fewest_in_flight_come_first(queue):
    fill(queue, "much", 50)
    take(queue, 45)
    fill(queue, "less", 50)
    first = take(queue, 31)
    assert {m["Body"][:4] for m in first} == {"less"}
    fill(queue, "much", 10)
    assert queue.bodies(1)[0].startswith("less")


def test_nothing_is_throttled(queue):
    fill(queue, "noisy", 100)
    assert len(take(queue, 100)) == 100


def test_quiet_again_when_its_backlog_is_gone(queue):
    fill(queue, "noisy", 40)
    for message in take(queue, 40):
        queue.delete(message)
    fill(queue, "noisy", 10)
    queue.send("other", MessageGroupId="other")
    assert queue.bodies(1) == ["noisy0"]
