// The JavaScript v3 SDK, as it is, against a real server: `npm ci && npm test`.
// The server is the one at $KYU_SQS_URL; the suite's runner starts it.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import {
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  paginateListQueues,
  PurgeQueueCommand,
  QueueDoesNotExist,
  QueueNameExists,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  SQSClient,
  StartMessageMoveTaskCommand,
  ListMessageMoveTasksCommand,
} from "@aws-sdk/client-sqs";

const endpoint = process.env.KYU_SQS_URL;
assert.ok(endpoint, "set KYU_SQS_URL");

// The SDK verifies the MD5 sums of bodies by itself: a wrong one throws.
const sqs = new SQSClient({
  endpoint,
  region: "us-east-1",
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
  maxAttempts: 1,
});

const unique = (prefix) => `${prefix}-${randomUUID().slice(0, 12)}`;

async function newQueue(Attributes = {}) {
  const QueueName = unique("js") + (Attributes.FifoQueue ? ".fifo" : "");
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName, Attributes }));
  return QueueUrl;
}

async function receive(QueueUrl, more = {}) {
  const answer = await sqs.send(new ReceiveMessageCommand({ QueueUrl, ...more }));
  return answer.Messages ?? [];
}

async function counts(QueueUrl) {
  const names = ["", "NotVisible", "Delayed"].map((kind) => `ApproximateNumberOfMessages${kind}`);
  const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: names }));
  return names.map((name) => Number(Attributes[name]));
}

test("send, receive, delete, with attributes of every type", async () => {
  const QueueUrl = await newQueue();
  const MessageAttributes = {
    text: { DataType: "String", StringValue: "ünïcödé" },
    number: { DataType: "Number", StringValue: "12.5" },
    bytes: { DataType: "Binary", BinaryValue: new Uint8Array([0, 127, 255]) },
  };
  const sent = await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "hello ✓", MessageAttributes }));
  const [message] = await receive(QueueUrl, {
    MessageAttributeNames: ["All"],
    MessageSystemAttributeNames: ["All"],
  });
  assert.equal(message.MessageId, sent.MessageId);
  assert.equal(message.Body, "hello ✓");
  assert.equal(message.MD5OfMessageAttributes, sent.MD5OfMessageAttributes);
  assert.deepEqual(new Uint8Array(message.MessageAttributes.bytes.BinaryValue), MessageAttributes.bytes.BinaryValue);
  assert.equal(message.Attributes.ApproximateReceiveCount, "1");
  await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: message.ReceiptHandle }));
  assert.deepEqual(await counts(QueueUrl), [0, 0, 0]);
});

test("an empty queue gives no Messages", async () => {
  const answer = await sqs.send(new ReceiveMessageCommand({ QueueUrl: await newQueue() }));
  assert.equal(answer.Messages, undefined);
});

test("batches report each entry", async () => {
  const QueueUrl = await newQueue({ MaximumMessageSize: "1024" });
  const Entries = [
    { Id: "good", MessageBody: "x" },
    { Id: "bad", MessageBody: "x".repeat(1025) },
  ];
  const answer = await sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
  assert.deepEqual(answer.Successful.map((entry) => entry.Id), ["good"]);
  assert.deepEqual(answer.Failed.map((entry) => [entry.Id, entry.Code, entry.SenderFault]), [
    ["bad", "InvalidParameterValue", true],
  ]);
  const [message] = await receive(QueueUrl);
  const deleted = await sqs.send(
    new DeleteMessageBatchCommand({ QueueUrl, Entries: [{ Id: "a", ReceiptHandle: message.ReceiptHandle }] }),
  );
  assert.equal(deleted.Successful.length, 1);
});

test("a visibility timeout lapses, and a change to zero gives back at once", async () => {
  const QueueUrl = await newQueue({ VisibilityTimeout: "1" });
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "again" }));
  const [first] = await receive(QueueUrl);
  assert.deepEqual(await receive(QueueUrl), []);
  const [second] = await receive(QueueUrl, { WaitTimeSeconds: 10, VisibilityTimeout: 60 });
  assert.equal(second.MessageId, first.MessageId);
  const { ReceiptHandle } = second;
  await sqs.send(new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle, VisibilityTimeout: 0 }));
  assert.equal((await receive(QueueUrl)).length, 1);
});

test("a long poll is woken", async () => {
  const QueueUrl = await newQueue();
  const poll = receive(QueueUrl, { WaitTimeSeconds: 20 });
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "wake up" }));
  assert.equal((await poll)[0].Body, "wake up");
});

test("FIFO keeps the order of a group and drops duplicates", async () => {
  const QueueUrl = await newQueue({ FifoQueue: "true", ContentBasedDeduplication: "true" });
  const numbers = [];
  for (const MessageBody of ["a", "b", "b", "c"]) {
    const sent = await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody, MessageGroupId: "g" }));
    numbers.push(sent.SequenceNumber);
  }
  assert.equal(numbers[1], numbers[2]);
  const bodies = (await receive(QueueUrl, { MaxNumberOfMessages: 10 })).map((message) => message.Body);
  assert.deepEqual(bodies, ["a", "b", "c"]);
});

test("errors are the SDK's own classes", async () => {
  await assert.rejects(sqs.send(new GetQueueUrlCommand({ QueueName: unique("missing") })), (error) => {
    assert.ok(error instanceof QueueDoesNotExist, error.constructor.name);
    assert.equal(error.message, "The specified queue does not exist.");
    assert.equal(error.$metadata.httpStatusCode, 400);
    return true;
  });
  const QueueName = unique("twice");
  await sqs.send(new CreateQueueCommand({ QueueName, Attributes: { DelaySeconds: "1" } }));
  const again = new CreateQueueCommand({ QueueName, Attributes: { DelaySeconds: "2" } });
  await assert.rejects(sqs.send(again), (error) => error instanceof QueueNameExists);
  const QueueUrl = await newQueue();
  await assert.rejects(receive(QueueUrl, { MaxNumberOfMessages: 11 }), { name: "InvalidParameterValue" });
});

test("queues are listed in pages", async () => {
  const prefix = unique("page");
  for (let i = 0; i < 5; i++) await sqs.send(new CreateQueueCommand({ QueueName: `${prefix}-${i}` }));
  const found = [];
  for await (const page of paginateListQueues({ client: sqs, pageSize: 2 }, { QueueNamePrefix: prefix })) {
    found.push(...(page.QueueUrls ?? []));
  }
  assert.equal(found.length, 5);
});

test("a message of 1 MiB, and a purge", async () => {
  const QueueUrl = await newQueue();
  const MessageBody = "x".repeat(1 << 20);
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody }));
  const [message] = await receive(QueueUrl, { VisibilityTimeout: 0 });
  assert.equal(message.Body, MessageBody);
  await sqs.send(new PurgeQueueCommand({ QueueUrl }));
  assert.deepEqual(await counts(QueueUrl), [0, 0, 0]);
});

test("dead letters, and the way back", async () => {
  const dead = await newQueue();
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: dead, AttributeNames: ["QueueArn"] }),
  );
  const QueueUrl = await newQueue();
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: Attributes.QueueArn, maxReceiveCount: 1 });
  await sqs.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: { RedrivePolicy } }));
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "dying" }));
  await receive(QueueUrl, { VisibilityTimeout: 0 });
  assert.deepEqual(await receive(QueueUrl), []);
  assert.deepEqual(await counts(dead), [1, 0, 0]);
  const SourceArn = Attributes.QueueArn;
  await sqs.send(new StartMessageMoveTaskCommand({ SourceArn }));
  const [back] = await receive(QueueUrl, { WaitTimeSeconds: 10 });
  assert.equal(back.Body, "dying");
  const { Results } = await sqs.send(new ListMessageMoveTasksCommand({ SourceArn }));
  assert.equal(Results.length, 1);
});
