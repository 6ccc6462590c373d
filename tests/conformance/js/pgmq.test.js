// node-postgres, postgres.js and pgmq-js, as they are, against the server at $KYU_PGMQ_URL.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import pg from "pg";
import { Pgmq } from "pgmq-js";
import postgres from "postgres";

const url = process.env.KYU_PGMQ_URL;
assert.ok(url, "set KYU_PGMQ_URL");
const { hostname: host, port, username: user, pathname } = new URL(url);
const database = pathname.slice(1);
const unique = () => `js_${randomUUID().slice(0, 12).replaceAll("-", "_")}`;

test("pgmq-js: the example of its README", async () => {
  const pgmq = await Pgmq.new({ host, database, password: "password", port: Number(port), user, ssl: false });
  const qName = unique();
  await pgmq.queue.create(qName);
  const msgId = await pgmq.msg.send(qName, { id: 1, name: "testMsg" });
  const received = await pgmq.msg.read(qName, 30);
  assert.deepEqual(received.message, { id: 1, name: "testMsg" });
  assert.equal(String(received.msgId), String(msgId));
  // Real pgmq refuses this since set_vt has overloads for untyped parameters.
  await pgmq.msg.setVt(qName, msgId, 0);
  await pgmq.msg.archive(qName, msgId);
  const ids = await pgmq.msg.sendBatch(qName, [{ n: 1 }, { n: 2 }]);
  assert.equal(ids.length, 2);
  const popped = await pgmq.msg.pop(qName);
  assert.deepEqual(popped.message, { n: 1 });
  const queues = await pgmq.queue.list();
  assert.ok(queues.some((queue) => queue.name === qName));
  const metrics = await pgmq.queue.getMetrics(qName);
  assert.equal(String(metrics.queueLength), "1");
  await pgmq.queue.drop(qName);
  await pgmq.close();
});

test("node-postgres: parameters, named statements, transactions, notifications", async () => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const queue = unique();
  await client.query("SELECT pgmq.create($1)", [queue]);
  const sent = await client.query("SELECT * FROM pgmq.send($1, $2)", [queue, { n: 1 }]);
  assert.equal(sent.rows[0].send, "1");
  for (let n = 0; n < 3; n++) {
    await client.query({ name: "send", text: "SELECT pgmq.send($1, $2)", values: [queue, { n }] });
  }
  const read = await client.query("SELECT * FROM pgmq.read($1, $2, $3)", [queue, 30, 2]);
  assert.deepEqual(read.rows.map((row) => row.message), [{ n: 1 }, { n: 0 }]);
  assert.ok(read.rows[0].enqueued_at instanceof Date);
  const deleted = await client.query("SELECT pgmq.delete($1, $2::bigint[]) AS id", [queue, ["1", "77"]]);
  assert.deepEqual(deleted.rows, [{ id: "1" }]);
  await client.query("BEGIN");
  await client.query("SELECT pgmq.send($1, $2)", [queue, { never: true }]);
  await client.query("ROLLBACK");
  const count = await client.query(`SELECT count(*) FROM pgmq.q_${queue}`);
  assert.equal(count.rows[0].count, "3");

  const heard = new Promise((resolve) => client.on("notification", resolve));
  await client.query("SELECT pgmq.enable_notify_insert($1, 0)", [queue]);
  await client.query(`LISTEN "pgmq.q_${queue}.INSERT"`);
  const other = new pg.Client({ connectionString: url });
  await other.connect();
  await other.query("SELECT pgmq.send($1, $2)", [queue, {}]);
  assert.equal((await heard).channel, `pgmq.q_${queue}.INSERT`);
  await assert.rejects(other.query("SELECT pgmq.send('no_such', '{}')"), { code: "42P01" });
  await other.end();
  await client.end();
});

test("postgres.js: types from the server, transactions, pipelining", async () => {
  const sql = postgres(url, { max: 2 });
  const queue = unique();
  await sql`SELECT pgmq.create(${queue})`;
  const [{ send }] = await sql`SELECT * FROM pgmq.send(${queue}, ${sql.json({ n: 1 })})`;
  assert.equal(send, "1");
  await sql.begin(async (sql) => {
    await sql`SELECT pgmq.send(${queue}, ${sql.json({ n: 2 })})`;
  });
  await assert.rejects(
    sql.begin(async (sql) => {
      await sql`SELECT pgmq.send(${queue}, ${sql.json({ never: true })})`;
      throw new Error("back");
    }),
    /back/,
  );
  const rows = await sql`SELECT msg_id, message FROM pgmq.read(${queue}, ${30}, ${10})`;
  assert.deepEqual(rows.map((row) => row.message), [{ n: 1 }, { n: 2 }]);
  const ids = await Promise.all([1, 2, 3].map((n) => sql`SELECT pgmq.send(${queue}, ${sql.json(n)}) AS id`));
  assert.equal(ids.length, 3);
  await sql.end();
});
