// Emmett at the work of the peers: a run of `make bench`, which says what to do.
//
//   node emmett.cjs sqlite|postgresql MODULES STORE WORK NAME AMOUNT
//
// MODULES is the folder that has node_modules, STORE a file or a connection string. WORK is fill
// (AMOUNT events), one, many (AMOUNT seconds), batches, read, replay; but for fill it prints a line
// "NAME <tab> unit <tab> value". A batch is appended to one stream: Emmett has none over several.
const { createRequire } = require('node:module');
const path = require('node:path');

const [kind, modules, where, work, name, amount] = process.argv.slice(2);
const load = createRequire(path.resolve(modules, 'x.js'));
const emmett = load(`@event-driven-io/emmett-${kind}`);
const LONG = 10000, BATCH = 1000, CLIENTS = 16, BATCHES = 10, READS = 5, PAGE = 1000;
const types = ['order_placed', 'order_paid', 'order_shipped', 'order_cancelled', 'item_added',
  'item_removed', 'address_changed', 'note_written'];
const note = 'x'.repeat(84);
let number = 0;

function event() {
  number += 1;
  return {
    type: types[number % types.length],
    data: { customer: String(number % 1000), amount: number, currency: 'EUR', note },
  };
}

function batch(count) { return Array.from({ length: count }, event); }

function seconds(begun) { return Number(process.hrtime.bigint() - begun) / 1e9; }

function say(value) { console.log(`${name}\tevents/s\t${value.toPrecision(6)}`); }

function open() {
  if (kind === 'postgresql') return emmett.getPostgreSQLEventStore(where);
  const schema = { autoMigration: 'CreateOrUpdate' };
  return emmett.getSQLiteEventStore({ fileName: where, schema });
}

async function fill(store) {
  for (let at = 0; at < LONG; at += BATCH) await store.appendToStream('long', batch(BATCH));
  for (let at = LONG; at < amount; at += BATCH) {
    await store.appendToStream(`filled-${at}`, batch(BATCH));
  }
}

// On SQLite it cannot do two things at once (SQLITE_BUSY, SQLITE_MISUSE): there the calls queue up.
async function singles(store, clients) {
  let count = 0, last = Promise.resolve();
  const begun = process.hrtime.bigint();
  function append(index) {
    const stream = `one-${process.pid}-${index}-${count % 100}`;
    const next = () => store.appendToStream(stream, [event()]);
    if (kind !== 'sqlite') return next();
    last = last.then(next);
    return last;
  }
  async function client(index) {
    while (seconds(begun) < amount) {
      await append(index);
      count += 1;
    }
  }
  await Promise.all(Array.from({ length: clients }, (_, index) => client(index)));
  say(count / seconds(begun));
}

async function batches(store) {
  const begun = process.hrtime.bigint();
  for (let index = 0; index < BATCHES; index += 1) {
    await store.appendToStream(`batch-${process.pid}-${index}`, batch(BATCH));
  }
  say(BATCHES * BATCH / seconds(begun));
}

async function read(store) {
  let count = 0;
  const begun = process.hrtime.bigint();
  for (let index = 0; index < READS; index += 1) {
    count += (await store.readStream('long')).events.length;
  }
  if (count !== READS * LONG) throw new Error(`the long stream has ${count / READS} events`);
  say(count / seconds(begun));
}

// What it reads in pages when it rebuilds projections.
function pages() {
  if (kind === 'sqlite') {
    const connection = emmett.sqliteConnection({ fileName: where });
    const run = (options) => emmett.readMessagesBatch(connection, options);
    return { run, end: () => connection.close() };
  }
  const pool = load('@event-driven-io/dumbo').dumbo({ connectionString: where });
  const run = (options) => emmett.readMessagesBatch(pool.execute, options);
  return { run, end: () => pool.close() };
}

async function replay() {
  const reader = pages(), counts = {};
  let count = 0, after = 0n;
  const begun = process.hrtime.bigint();
  for (;;) {
    const { messages } = await reader.run({ after, batchSize: PAGE });
    for (const message of messages) counts[message.type] = (counts[message.type] || 0) + 1;
    count += messages.length;
    if (messages.length < PAGE) break;
    after = messages[messages.length - 1].metadata.globalPosition;
  }
  if (count < LONG) throw new Error(`only ${count} events were read`);
  say(count / seconds(begun));
  await reader.end();
}

const works = { fill, one: (store) => singles(store, 1), many: (store) => singles(store, CLIENTS),
  batches, read, replay };

async function main() {
  const store = open();
  await works[work](store);
  if (store.close) await store.close();
}

main().then(() => process.exit(0), (error) => {
  console.error(`emmett: ${error.message}`);
  process.exit(1);
});
