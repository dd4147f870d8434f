// A subscriber of Waybill's topics. Copy it, and put your effect where store.mjs says so.
//
// Each record goes through one atomic write of a store of our own: is it new, the effect, "this id is done". Offsets
// follow the write, so a crash in between brings the record again, and the store knows its id. The other way round, a
// crash would lose the effect for good.

import { setTimeout as sleep } from "node:timers/promises";

import { joinGroup, openRegistry } from "./connect.mjs";
import { Store } from "./store.mjs";

const RETRY_MS = 1000;
const ALL_TOPICS =
  "order.events.v1,inventory.events.v1,inventory.products.v1,payment.events.v1,notification.events.v1";

/** A record that can never be read: set it aside. The environment is fine. */
class BadRecord extends Error {}

/** A registry that does not answer: wait. The record is fine. */
class Away extends Error {}

/** Decode a record by the schema that its id names; throws BadRecord or Away. */
async function read(registry, value, headers) {
  if (value === null) throw new BadRecord("no value: a tombstone");
  if (value.length < 5 || value[0] !== 0) throw new BadRecord("no Confluent frame");
  for (const name of ["ce_id", "ce_type", "ce_sequence"]) {
    if (!headers[name]) throw new BadRecord(`no header ${name}`);
  }
  if (!/^\d+$/.test(headers.ce_sequence)) throw new BadRecord("header ce_sequence is no number");
  const id = value.readUInt32BE(1);
  try {
    await registry.getSchema(id); // kept from then on
  } catch (error) {
    if (error.unknownSchema) throw new BadRecord(`schema id ${id} is not in the registry`);
    throw new Away(`registry: ${error.message}`);
  }
  try {
    return await registry.decode(value);
  } catch (error) {
    throw new BadRecord(`not what its schema says: ${error.message}`);
  }
}

async function run(store) {
  const group = process.env.GROUP;
  const registry = openRegistry();
  const topics = (process.env.TOPICS || ALL_TOPICS).split(",");
  let stopping = false;

  /** Deal with one record; false when told to stop before that. */
  async function handle(topic, partition, message, heartbeat) {
    const headers = Object.fromEntries(Object.entries(message.headers).map(([name, value]) => [name, String(value)]));
    const record = { topic, partition, offset: message.offset, key: String(message.key ?? ""), value: message.value };
    let done = "for another group";
    if ((headers.ce_replaytarget ?? group) === group) {
      for (;;) {
        if (stopping) return false;
        try {
          done = await store.take(record, headers, await read(registry, message.value, headers), null);
          break;
        } catch (error) {
          if (error instanceof BadRecord) {
            done = await store.take(record, headers, null, error.message);
            break;
          }
          if (!(error instanceof Away)) throw error;
          console.log("waits", error.message);
          await heartbeat(); // we are still here
          await sleep(RETRY_MS);
        }
      }
    }
    console.log(done, `${topic}/${partition}/${message.offset}`, headers.ce_type, "version", headers.ce_sequence);
    return true;
  }

  // A partition's records come one after the other: a key keeps its order.
  async function eachBatch({ batch, resolveOffset, heartbeat, commitOffsetsIfNecessary, isRunning, isStale }) {
    for (const message of batch.messages) {
      if (stopping || !isRunning() || isStale()) break;
      if (!(await handle(batch.topic, batch.partition, message, heartbeat))) break;
      resolveOffset(message.offset); // what was handled, never what is only fetched
      await commitOffsetsIfNecessary();
      await heartbeat();
    }
  }

  const consumer = joinGroup(group);
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart) process.exit(1); // a supervisor starts us anew
  });
  const told = new Promise((stop) => {
    for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, stop);
  }).then(() => {
    stopping = true;
  });
  while (!stopping) {
    try {
      await consumer.connect();
      await consumer.subscribe({ topics, fromBeginning: true });
      break;
    } catch (error) {
      console.log("waits", error.message);
      await Promise.race([sleep(RETRY_MS), told]);
    }
  }
  if (!stopping) {
    await consumer.run({ eachBatch, eachBatchAutoResolve: false, autoCommitInterval: 1000 });
  }
  await told;
  await consumer.disconnect(); // commits what was resolved, and leaves the group
}

const verb = process.argv[2] ?? "run";
const missing = ["KAFKA_BOOTSTRAP", "GROUP", "REGISTRY_URL"].filter((name) => !process.env[name]);
if (missing.length > 0) {
  console.error(`not set: ${missing.join(", ")}`);
  process.exit(1);
}
const store = await Store.open(process.env.STORE || "subscriber.db");
if (verb === "run") {
  await run(store);
  console.log("stopped");
} else if (verb === "show") {
  await store.show();
} else if (verb === "release") {
  await store.release();
} else {
  console.error("node subscriber.mjs [run|show|release]");
  process.exitCode = 2;
}
await store.close();
if (verb === "run") process.exit(); // kafkajs may leave a timer behind
