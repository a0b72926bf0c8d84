// Writes the table of messages' latencies into a page: table.mjs FIGURES PAGE. Owned by ci/wasm.sh.
import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'

const [figures, page] = process.argv.slice(2)
const rows = new Map()
for (const line of readFileSync(figures, 'utf8').split('\n').filter(Boolean)) {
    const { case: name, impl, metric, value, n, rounds, spread } = JSON.parse(line)
    const row = rows.get(`${name} ${impl}`) ?? { name, impl, n, rounds, cells: {} }
    row.cells[metric] = `${Number((value / 1000).toPrecision(3))} us (${spread.toFixed(2)})`
    rows.set(`${name} ${impl}`, row)
}
const table = [
    `Node ${process.version}, ${availableParallelism()} processors (${cpus()[0].model.trim()}):`,
    '',
    '| messages | receiver | median | 99 % | worst | messages, rounds |',
    '|---|---|---|---|---|---|',
    ...[...rows.values()].map(({ name, impl, n, rounds, cells }) =>
        `| ${name} | ${impl} | ${cells.latency_median} | ${cells.latency_p99} | ${cells.latency_worst} | ${n}, ${rounds} |`),
]
const [begin, end] = [/^<!-- latencies: begin.*-->$/m, /^<!-- latencies: end -->$/m]
const text = readFileSync(page, 'utf8')
const first = text.match(begin), last = text.match(end)
if (!first || !last) throw new Error(`${page} has no block for the table`)
writeFileSync(page, text.slice(0, first.index + first[0].length + 1) + table.join('\n') + '\n' + text.slice(last.index))
