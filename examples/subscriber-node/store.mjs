// What survives a restart: the effects, the ids of what was handled, and what was set aside. LevelDB writes a batch
// whole or not at all, and `sync` waits for the disk: once an offset is committed the effect must not be lost.

import { ClassicLevel } from "classic-level";

const padded = (number) => String(number).padStart(16, "0");

export class Store {
  static async open(path) {
    const store = new Store();
    store.db = new ClassicLevel(path, { valueEncoding: "json" });
    await store.db.open();
    store.number = 0;
    for await (const key of store.db.keys({ gt: "handled/", lt: "handled0", reverse: true, limit: 1 })) {
      store.number = Number(key.slice("handled/".length));
    }
    return store;
  }

  /** Handle a record once, or set it aside for what is bad with it, in one write; says what was done. */
  async take(record, headers, event, bad) {
    // A replay with `reprocess` is somebody's wish that it is handled again, once.
    const again = headers.ce_replayreprocess === "true" ? `:${headers.ce_replayid}` : "";
    const doneAs = `${headers.ce_id}${again}`;
    const keyAside = `key/${record.topic}/${record.key}`;
    if (!bad && (await this.#has(`id/${doneAs}`))) return "repeat";
    if (!bad && (await this.#has(keyAside))) {
      bad = "behind one of its key that was set aside"; // or the key's order would be lost
    }
    if (bad) {
      const { value, ...place } = record;
      const kept = { ...place, aside: bad, value: value && value.toString("base64") };
      await this.#write([
        [`aside/${record.topic}/${padded(record.partition)}/${padded(record.offset)}`, kept],
        [keyAside, true],
      ]);
      return `aside (${bad})`;
    }
    // YOUR EFFECT, in this write. Ours is to keep the event. Do not mail anybody for a replay: `ce_replayid` is its id,
    // and `ce_replayeffects` says whether the operator wants that all the same.
    const effect = {
      id: doneAs,
      topic: record.topic,
      key: record.key,
      version: Number(headers.ce_sequence),
      type: headers.ce_type,
      replay: headers.ce_replayid,
      event: plain(event),
    };
    await this.#write([
      [`id/${doneAs}`, true],
      [`handled/${padded(this.number + 1)}`, effect],
    ]);
    this.number += 1;
    return again ? "handled again" : headers.ce_replayid ? "replay" : "handled";
  }

  /** Print what was handled, in that order, then what was set aside. */
  async show() {
    for (const kind of ["handled", "aside"]) {
      for await (const kept of this.db.values({ gt: `${kind}/`, lt: `${kind}0` })) console.log(JSON.stringify(kept));
    }
  }

  /** Forget what was set aside: ask the owner to replay it to your group, and it is handled then. */
  async release() {
    await this.db.clear({ gt: "aside/", lt: "aside0" });
    await this.db.clear({ gt: "key/", lt: "key0" });
  }

  close() {
    return this.db.close();
  }

  async #has(key) {
    return (await this.db.get(key)) !== undefined;
  }

  #write(entries) {
    return this.db.batch(
      entries.map(([key, value]) => ({ type: "put", key, value })),
      { sync: true },
    );
  }
}

/** JSON has no BigInt. */
function plain(event) {
  return JSON.parse(JSON.stringify(event, (_, value) => (typeof value === "bigint" ? String(value) : value)));
}
