// One type's map and the loops that are timed on it, as benches/src/map/side.rs has them.
package main

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

const (
	chunk         = 2048
	fewestInserts = 100_000
	fewestLookups = 1 << 14
	mostLookups   = 1 << 19
	least         = 3 * time.Millisecond
	long          = 8 * time.Millisecond
)

// sink takes what loops found, so that they are not compiled away.
var sink uint64

// Table is a map and how its entries are made. Invariant: its keys are those of the numbers first to first + len(table).
type Table[K comparable, V any] struct {
	table map[K]V
	first uint64
	key   func(uint64) K
	value func(uint64) V

	// What loops read last.
	kept V

	keys   []K
	values []V
	// The keys of the last lookups, of maps of so many entries.
	hits, misses []K
	asked        uint64
}

// Fill makes a map of the entries 0 to entries.
func (t *Table[K, V]) Fill(entries uint64) {
	t.table, t.first = make(map[K]V), 0
	t.build(t.table, entries)
}

// Empty lets go of everything.
func (t *Table[K, V]) Empty() {
	t.table, t.keys, t.values, t.hits, t.misses, t.asked = nil, nil, nil, nil, nil, 0
	runtime.GC()
}

// make makes the entries of some numbers.
func (t *Table[K, V]) make(from, to uint64) {
	t.keys, t.values = t.keys[:0], t.values[:0]
	for number := from; number < to; number++ {
		t.keys, t.values = append(t.keys, t.key(number)), append(t.values, t.value(number))
	}
}

// build inserts the entries 0 to entries; what that took.
func (t *Table[K, V]) build(table map[K]V, entries uint64) (spent time.Duration) {
	for from := uint64(0); from < entries; from += chunk {
		t.make(from, min(entries, from+chunk))
		start := time.Now()
		for idx, key := range t.keys {
			table[key] = t.values[idx]
		}
		spent += time.Since(start)
	}
	return spent
}

// Insert is the nanoseconds of an insert into a new map.
func (t *Table[K, V]) Insert(entries uint64, reserved bool) float64 {
	room := 0
	if reserved {
		room = int(entries)
	}
	var spent time.Duration
	var done uint64
	for done < fewestInserts {
		if entries > chunk {
			start := time.Now()
			table := make(map[K]V, room)
			spent += time.Since(start) + t.build(table, entries)
			done += entries
			sink += uint64(len(table))
			continue
		}
		maps := chunk / entries
		t.make(done, done+maps*entries)
		tables := make([]map[K]V, maps)
		start := time.Now()
		for place := range tables {
			table := make(map[K]V, room)
			from := uint64(place) * entries
			for idx := from; idx < from+entries; idx++ {
				table[t.keys[idx]] = t.values[idx]
			}
			tables[place] = table
		}
		spent += time.Since(start)
		done += maps * entries
		sink += uint64(len(tables))
	}
	return float64(spent.Nanoseconds()) / float64(done)
}

// lookups makes the keys that are asked for.
func (t *Table[K, V]) lookups(entries uint64) {
	if t.asked == entries {
		return
	}
	count := min(max(entries, fewestLookups), mostLookups)
	t.hits, t.misses, t.asked = make([]K, count), make([]K, count), entries
	for step := range count {
		t.hits[step], t.misses[step] = t.key(draw(step, entries)), t.key(absent+step)
	}
}

func (t *Table[K, V]) find(keys []K) (found uint64) {
	var kept V
	for _, key := range keys {
		if value, there := t.table[key]; there {
			found++
			kept = value
		}
	}
	t.kept = kept
	return found
}

// Hit is the nanoseconds of a lookup of a key that is there.
func (t *Table[K, V]) Hit(entries uint64) float64 {
	t.lookups(entries)
	expect(t.find(t.hits), uint64(len(t.hits)))
	return mean(func() { t.find(t.hits) }) / float64(len(t.hits))
}

// Miss is the nanoseconds of a lookup of a key that is not.
func (t *Table[K, V]) Miss(entries uint64) float64 {
	t.lookups(entries)
	expect(t.find(t.misses), 0)
	return mean(func() { t.find(t.misses) }) / float64(len(t.misses))
}

// Churn is the nanoseconds of a removal and an insert of another key.
func (t *Table[K, V]) Churn(entries, times uint64) float64 {
	var spent time.Duration
	for last := t.first + times; t.first < last; {
		to := min(last, t.first+chunk)
		old := make([]K, 0, chunk)
		for number := t.first; number < to; number++ {
			old = append(old, t.key(number))
		}
		t.make(t.first+entries, to+entries)
		start := time.Now()
		for idx, gone := range old {
			delete(t.table, gone)
			t.table[t.keys[idx]] = t.values[idx]
		}
		spent += time.Since(start)
		t.first = to
	}
	expect(uint64(len(t.table)), entries)
	return float64(spent.Nanoseconds()) / float64(times)
}

// Iterate is the nanoseconds of an entry visited.
func (t *Table[K, V]) Iterate() float64 {
	walk := func() {
		var kept V
		for _, value := range t.table {
			kept = value
		}
		t.kept = kept
	}
	return mean(walk) / float64(len(t.table))
}

// Bytes is what a map of the entries 0 to entries keeps from the collector, strings and all.
func (t *Table[K, V]) Bytes(entries uint64) float64 {
	t.Empty()
	before := heap()
	table := make(map[K]V)
	for number := range entries {
		table[t.key(number)] = t.value(number)
	}
	bytes := heap() - before
	expect(uint64(len(table)), entries)
	runtime.KeepAlive(table)
	return bytes
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}

// mean is the nanoseconds of a call: of the first if that was long, else of many after it.
func mean(work func()) float64 {
	start := time.Now()
	work()
	one := max(time.Since(start), 1)
	if one >= long {
		return float64(one.Nanoseconds())
	}
	calls := int(least/one) + 1
	start = time.Now()
	for range calls {
		work()
	}
	return float64(time.Since(start).Nanoseconds()) / float64(calls)
}

func expect(got, wanted uint64) {
	if got != wanted {
		fmt.Fprintf(os.Stderr, "%d where there should be %d\n", got, wanted)
		os.Exit(1)
	}
}
