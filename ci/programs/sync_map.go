// What maps that goroutines share take: bytes an entry of the heap after a collection, of sync.Map and of a map behind a lock.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
)

type locked struct {
	sync.RWMutex
	entries map[uint64]uint64
}

func heap() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func main() {
	entries, err := strconv.ParseUint(os.Args[1], 10, 64)
	if err != nil {
		panic(err)
	}
	before := heap()
	shared := new(sync.Map)
	for key := uint64(0); key < entries; key++ {
		shared.Store(key, key)
	}
	fmt.Printf("sync.Map %.1f\n", float64(heap()-before)/float64(entries))
	runtime.KeepAlive(shared)
	shared = nil
	before = heap()
	plain := &locked{entries: map[uint64]uint64{}}
	for key := uint64(0); key < entries; key++ {
		plain.Lock()
		plain.entries[key] = key
		plain.Unlock()
	}
	fmt.Printf("map+RWMutex %.1f\n", float64(heap()-before)/float64(entries))
	runtime.KeepAlive(plain)
}
