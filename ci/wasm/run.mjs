// Runs the cases of bucketmask_wasm.wasm in Node: workers that instantiate the same module on the same memory. Usage:
// run.mjs MODULE FIGURES [CASE...]: figures are written to FIGURES, one JSON object a line. Each case runs as it is, and with each of
// its faults, which must make it fail with the words given. Invariant: a case has memory and workers of its own.
import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'

// As the linker was told: first and largest size of the memory, in pages of 64 KiB.
const INITIAL = Number(process.env.WASM_PAGES_FIRST)
const LARGEST = Number(process.env.WASM_PAGES_MOST)
const STACK = 1 << 20
// Runs of a fault until it shows.
const TURNS = 3
// Seconds after which a case hangs.
const LIMIT = 240

const cases = {
    ring: { workers: 2, faults: [/out of order|not whole|nobody sent/, /nobody woke/] },
    channel: { workers: 4, faults: [/out of order|nobody sent/, /not whole/] },
    mailbox: { workers: 2, faults: [/nobody woke/, /before what comes with it/] },
    litmus: { workers: 2, faults: [/flag first: saw what must not/, /plain accesses: saw what must not/, /two stores: saw what must not/] },
    parking: { workers: 2, faults: [] },
    concurrent: { workers: 4, faults: [/at the end|key|entries of a worker/, /at the end|key|entries of a worker/] },
    tables: { workers: 1, faults: [/assertion/] },
    high: { workers: 1, faults: [] },
    latency: { workers: 2, faults: [] },
}

// What the module imports; lines and figures go to `tell`.
function host(memory, tell) {
    // A decoder takes no shared memory.
    const text = (start, length) => new TextDecoder().decode(new Uint8Array(memory.buffer, start, length).slice())
    return {
        say: (start, length) => tell('line', text(start >>> 0, length)),
        figure: (start, length) => tell('figure', text(start >>> 0, length)),
        nanoseconds: () => process.hrtime.bigint(),
    }
}

function instantiate(module, memory, tell) {
    return new WebAssembly.Instance(module, { env: { memory }, host: host(memory, tell) }).exports
}

function work({ module, memory, name, number, fault, stack, locals }) {
    const lines = []
    const exports = instantiate(module, memory, (kind, text) => {
        lines.push(text)
        parentPort.postMessage({ [kind]: text })
    })
    exports.__stack_pointer.value = stack
    exports.__wasm_init_tls(locals)
    try {
        exports[name](number, fault)
        parentPort.postMessage({ done: true })
    } catch (trap) {
        parentPort.postMessage({ failed: `worker ${number}: ${lines.join(' ').replace(/\s+/g, ' ')} (${trap.message})` })
    }
}

// Runs a case: its lines, and what failed, if anything did.
function run(module, name, fault, figures) {
    const memory = new WebAssembly.Memory({ initial: INITIAL, maximum: LARGEST, shared: true })
    const lines = []
    const exports = instantiate(module, memory, (kind, text) => lines.push(text))
    exports.begin()
    const block = (size, align) => exports.reserve(size, align) >>> 0
    return new Promise(resolve => {
        const workers = []
        let left = cases[name].workers
        const end = failed => {
            clearTimeout(clock)
            workers.forEach(worker => worker.terminate())
            resolve({ lines, failed })
        }
        const clock = setTimeout(end, LIMIT * 1000, `no end after ${LIMIT} s`)
        for (let number = 0; number < cases[name].workers; number++) {
            const stack = block(STACK, 16) + STACK
            const locals = block(exports.__tls_size.value, exports.__tls_align.value)
            const worker = new Worker(new URL(import.meta.url), { workerData: { module, memory, name, number, fault, stack, locals } })
            workers.push(worker)
            worker.on('error', error => end(`worker ${number}: ${error.stack}`))
            worker.on('message', ({ line, figure, failed, done }) => {
                if (line) lines.push(line)
                if (figure) figures.push(figure)
                if (failed) end(failed)
                if (done && --left === 0) end()
            })
        }
    })
}

async function main([path, out, ...names]) {
    if (availableParallelism() < 2) throw new Error('workers that take turns on one processor show nothing: two are needed')
    const module = new WebAssembly.Module(readFileSync(path))
    const figures = []
    for (const name of names.length ? names : Object.keys(cases)) {
        const { lines, failed } = await run(module, name, 0, figures)
        for (const line of lines) console.log(line)
        if (failed) throw new Error(`${name} failed: ${failed}`)
        for (const [index, words] of cases[name].faults.entries()) {
            // Some depend on who runs when.
            let failed
            for (let turn = 0; turn < TURNS && !failed; turn++) failed = (await run(module, name, index + 1, [])).failed
            if (!failed) throw new Error(`${name} passes with fault ${index + 1}`)
            if (!words.test(failed)) throw new Error(`${name} with fault ${index + 1} failed for another reason: ${failed}`)
            console.log(`${name} with fault ${index + 1} fails: ${failed}`)
        }
    }
    writeFileSync(out, figures.map(figure => `${figure}\n`).join(''))
}

if (isMainThread) {
    main(process.argv.slice(2)).then(
        () => process.exit(0),
        error => {
            console.error(error.message)
            process.exit(1)
        },
    )
} else {
    work(workerData)
}
