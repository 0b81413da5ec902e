// A session of node-postgres against the server whose port is the argument.
const assert = require('node:assert');
const { Client } = require('pg');

async function main() {
  const c = new Client({ host: '127.0.0.1', port: Number(process.argv[2]), user: 'node', database: 'any' });
  await c.connect();
  await c.query('CREATE TABLE fruit (id INT PRIMARY KEY, name TEXT, price NUMERIC(6,2), at TIMESTAMPTZ, ok BOOLEAN, tags TEXT[])');
  await c.query('CREATE MATERIALIZED VIEW dear AS SELECT name, price * 2 AS twice FROM fruit WHERE price > 1');
  const ins = await c.query('INSERT INTO fruit VALUES ($1, $2, $3, $4, $5, $6)',
    [1, 'apple', '1.50', new Date(0), true, ['red', 'green']]);
  assert.strictEqual(ins.rowCount, 1);
  await c.query('INSERT INTO fruit VALUES ($1, $2, $3, NULL, $4, NULL)', [2, null, '0.5', false]);

  const all = await c.query('SELECT * FROM fruit ORDER BY id');
  assert.deepStrictEqual(all.rows[0], { id: 1, name: 'apple', price: '1.50', at: new Date(0), ok: true, tags: ['red', 'green'] });
  assert.deepStrictEqual(all.rows[1], { id: 2, name: null, price: '0.50', at: null, ok: false, tags: null });
  const view = await c.query({ text: 'SELECT twice FROM dear WHERE name = $1', values: ['apple'], rowMode: 'array' });
  assert.deepStrictEqual(view.rows, [['3.00']]);

  // A named statement, twice.
  for (const id of [1, 2]) {
    const r = await c.query({ name: 'by-id', text: 'SELECT name FROM fruit WHERE id = $1', values: [id] });
    assert.strictEqual(r.rows.length, 1);
  }

  await assert.rejects(c.query('SELECT nosuch FROM fruit'), (e) => e.code === '42703' && e.position === '8');
  await assert.rejects(c.query('INSERT INTO fruit (id) VALUES ($1)', [1]), (e) => e.code === '23505');
  await assert.rejects(c.query('SELECT 1 / $1::int', [0]), (e) => e.code === '22012');

  const several = await c.query('SELECT 1 AS a; SELECT 2 AS b');
  assert.deepStrictEqual(several.map((r) => r.rows), [[{ a: 1 }], [{ b: 2 }]]);

  await c.query('BEGIN');
  await c.query('DELETE FROM fruit WHERE id = 1');
  await c.query('ROLLBACK');
  assert.strictEqual((await c.query('SELECT count(*) AS n FROM fruit')).rows[0].n, '2');
  await c.end();
  console.log('ok');
}

main().catch((e) => { console.error(e); process.exit(1); });
